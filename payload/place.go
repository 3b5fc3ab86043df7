package payload

import (
	"strconv"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/payload/paths"
)

// Limits of mounts.
const (
	maxMounts    = 256 // as the schemas say
	maxCacheName = 255 // characters
)

// workersOwn is the directory in a task's for what passes between the task and
// the worker, and additionalData the one file in it that a task may give.
const (
	workersOwn     = "generic-worker"
	additionalData = workersOwn + "/chain-of-trust-additional-data.json"
)

// place is where a mount goes.
type place struct {
	mount string // pointer to the mount
	at    string // pointer to the path
	path  string // clean, with slashes
	file  bool
	cache bool
}

// mounts checks everything about mounts that can be told before one is made.
func (c *checker) mounts() {
	list, _ := c.root["mounts"].([]any)
	if len(list) > maxMounts {
		return // the schema has said so
	}
	var places []place
	first := make(map[string]string) // name of a cache to where it is first
	for i, item := range list {
		fields, _ := item.(map[string]any)
		mount := document.Pointer("mounts", strconv.Itoa(i))
		c.content(mount+"/content", fields["content"])
		name, cache := fields["cacheName"].(string)
		if cache {
			c.cacheName(mount+"/cacheName", name)
			if other, twice := first[name]; twice {
				c.add(mount+"/cacheName", "is the cache "+document.Quote(name)+" that "+other+" has, too", "mount a cache once")
			} else {
				first[name] = mount
			}
		}
		for _, key := range []string{"file", "directory"} {
			path, ok := fields[key].(string)
			p := place{mount: mount, at: mount + "/" + key, path: path, file: key == "file", cache: cache}
			if ok && path != "" && c.place(&p) {
				places = append(places, p)
			}
		}
	}
	c.layout(places)
}

// place cleans the path of a place, or reports why nothing can be put there.
func (c *checker) place(p *place) bool {
	clean, fault := paths.Clean(p.path, c.lines)
	switch {
	case fault != nil:
	case p.cache && clean == ".":
		fault = &paths.Fault{What: "is the task directory itself, which cannot be kept as a cache", Remedy: "mount the cache below it"}
	case paths.Inside(clean, workersOwn, c.lines) && !(p.file && clean == additionalData):
		fault = &paths.Fault{What: "is in the directory " + workersOwn + ", which is for the worker's own files", Remedy: "put it elsewhere"}
	}
	if fault != nil {
		c.addUnlessReported(p.at, fault.What, fault.Remedy)
		return false
	}
	p.path = clean
	return true
}

// layout reports mounts that would be in each other's way.
func (c *checker) layout(places []place) {
	for j, b := range places {
		for _, a := range places[:j] {
			if what, remedy := c.conflict(a, b); what != "" {
				c.add(b.at, what, remedy)
				break
			}
		}
	}
}

// conflict tells why b cannot be mounted after a. Unpacked archives may share a
// directory or be in one another, and anything may be in a cache that is there
// already; a file in the place of a directory is found out when it is made.
func (c *checker) conflict(a, b place) (what, remedy string) {
	within, around := paths.Inside(b.path, a.path, c.lines), paths.Inside(a.path, b.path, c.lines)
	same := within && around
	switch {
	case same && (a.file && b.file || (a.cache || b.cache) && !a.file && !b.file):
		return "is where " + a.mount + " is, too", "give one of them another place"
	case same:
	case within && a.file:
		return "is below " + a.mount + ", which is a file", "put it elsewhere"
	case around && b.file:
		return "is a file where " + a.mount + " needs a directory", "put it elsewhere"
	case around && b.cache:
		return "is a cache that would hide " + a.mount + ", which is inside it", "list the cache before what is inside it"
	}
	return "", ""
}
