package payload

import (
	"cmp"
	"fmt"
	"maps"
	pathpkg "path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/schemas"
)

var dockerSchema = sync.OnceValues(func() (*document.Schema, error) {
	return document.Compile("payload-docker.json", schemas.PayloadDocker)
})

// parseDocker reads a payload that was written for docker-worker.
func parseDocker(doc *document.Document, root map[string]any) (Payload, error) {
	schema, err := dockerSchema()
	if err != nil {
		return Payload{}, err
	}
	c := newChecker(doc, root, replaced(doc.Check(schema), containersOnly(doc, root)))
	argv, _ := root["command"].([]any)
	c.arguments("/command", argv)
	c.env()
	if image, ok := root["image"].(map[string]any); ok {
		c.name("/image/path", image["path"])
	}
	c.dockerArtifacts()
	c.caches()
	if len(c.problems) > 0 {
		return Payload{}, c.problems.Sort()
	}
	return decodeDocker(doc)
}

// dockerLogs returns the names of the live log and of the one that is kept.
func dockerLogs(root map[string]any) (live, backing string) {
	live, given := root["log"].(string)
	if !given {
		live = defaultLive
	}
	extension := pathpkg.Ext(live)
	return live, strings.TrimSuffix(live, extension) + "_backing" + extension
}

// dockerArtifacts checks the artifacts, whose names are keys, and the logs beside
// which they are published.
func (c *checker) dockerArtifacts() {
	live, backing := dockerLogs(c.root)
	c.name("/log", live)
	artifacts, _ := c.root["artifacts"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(artifacts)) {
		pointer := document.Pointer("artifacts", name)
		fields, _ := artifacts[name].(map[string]any)
		kind, _ := fields["type"].(string)
		effective := effectiveName(dockerKind(kind), "", name)
		if what, remedy := nameFault(effective); what != "" {
			c.add(pointer, "is the name of an artifact that "+what, remedy)
		} else if kind == File && (effective == live || effective == backing) {
			c.add(pointer, "is the name of an artifact that is taken by the log of the task", "give it another name, or rename the log in /log")
		}
		path, _ := fields["path"].(string)
		if what := dockerPathFault(path); what != "" {
			c.add(pointer+"/path", what, "write an absolute path, or one inside the task directory")
		}
		c.expires(pointer, fields["expires"])
	}
}

// dockerKind is the type of an artifact: a volume is a directory that is there
// from the beginning, which any directory can be here.
func dockerKind(kind string) string {
	if kind == "volume" {
		return Directory
	}
	return kind
}

func dockerPathFault(path string) string {
	clean := pathpkg.Clean(path)
	switch {
	case strings.ContainsFunc(path, control):
		return "has a control character in it"
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "leads out of the task directory"
	}
	return ""
}

// caches checks the names of caches and where they go.
func (c *checker) caches() {
	caches, _ := c.root["cache"].(map[string]any)
	if len(caches) > maxMounts {
		return // the schema has said so
	}
	var places []place
	for _, name := range slices.Sorted(maps.Keys(caches)) {
		pointer := document.Pointer("cache", name)
		c.cacheName(pointer, name)
		path, _ := caches[name].(string)
		p := place{mount: pointer, at: pointer, path: belowTask(path), cache: true}
		if path != "" && c.place(&p) {
			places = append(places, p)
		}
	}
	sortPlaces(places, func(p place) string { return p.path })
	c.layout(places)
}

// sortPlaces puts directories before what is inside them.
func sortPlaces[T any](list []T, path func(T) string) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(path(a), path(b)) })
}

// belowTask puts an absolute path of a container below the task directory.
func belowTask(path string) string {
	if !strings.HasPrefix(path, "/") {
		return path
	}
	return cmp.Or(pathpkg.Clean(path)[1:], ".")
}

// wireDocker is a payload for docker-worker as JSON spells it.
type wireDocker struct {
	Image        Image                   `json:"image"`
	Command      []string                `json:"command"`
	Env          map[string]string       `json:"env"`
	EncryptedEnv []string                `json:"encryptedEnv"`
	MaxRunTime   int64                   `json:"maxRunTime"`
	Artifacts    map[string]wireArtifact `json:"artifacts"`
	Cache        map[string]string       `json:"cache"`
	Features     wireFeatures            `json:"features"`
	OnExitStatus wireExitStatus          `json:"onExitStatus"`
	// SupersederURL may be anything: nobody looks at it.
	SupersederURL string `json:"supersederUrl"`
}

type wireFeatures struct {
	LocalLiveLog     bool `json:"localLiveLog"`
	BulkLog          bool `json:"bulkLog"`
	TaskclusterProxy bool `json:"taskclusterProxy"`
	ChainOfTrust     bool `json:"chainOfTrust"`
	Interactive      bool `json:"interactive"`
	Artifacts        bool `json:"artifacts"`
}

// decodeDocker turns a checked document into the Payload that asks for the same
// without a container.
func decodeDocker(doc *document.Document) (Payload, error) {
	w := wireDocker{Features: wireFeatures{LocalLiveLog: true, BulkLog: true, Artifacts: true}}
	if err := doc.Decode(&w); err != nil {
		return Payload{}, err
	}
	root, _ := doc.Value().(map[string]any)
	p := Default()
	p.Image = &w.Image
	p.Commands = []Command{{Argv: w.Command}}
	p.Env, p.EncryptedEnv = w.Env, w.EncryptedEnv
	p.MaxRunTime = time.Duration(w.MaxRunTime) * time.Second
	p.Features.LiveLog = w.Features.LocalLiveLog
	p.Features.BackingLog = w.Features.LocalLiveLog || w.Features.BulkLog
	p.Features.TaskclusterProxy = w.Features.TaskclusterProxy
	p.Features.ChainOfTrust = w.Features.ChainOfTrust
	p.Features.Interactive.On = w.Features.Interactive
	p.Logs.Live, p.Logs.Backing = dockerLogs(root)
	p.OnExitStatus = w.OnExitStatus.codes()
	p.SupersederURL = w.SupersederURL
	p.placeCaches(w.Cache)
	if !w.Features.Artifacts {
		if len(w.Artifacts) > 0 {
			p.note("features.artifacts is false: no artifacts are published")
		}
		return p, nil
	}
	return p, p.placeArtifacts(w)
}

// placeCaches mounts caches below the task directory.
func (p *Payload) placeCaches(caches map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(caches)) {
		path := pathpkg.Clean(belowTask(caches[name]))
		p.Mounts = append(p.Mounts, Mount{Directory: path, CacheName: name})
		if path != caches[name] {
			p.note("cache %s is at %s in the task directory and not at %s: there is no container", name, path, caches[name])
		}
	}
	sortPlaces(p.Mounts, func(m Mount) string { return m.Directory })
}

// placeArtifacts lists artifacts in order of name. Like in docker-worker, a task
// does not fail if one of them is missing.
func (p *Payload) placeArtifacts(w wireDocker) error {
	for _, name := range slices.Sorted(maps.Keys(w.Artifacts)) {
		a := w.Artifacts[name]
		expires, err := dateTime(a.Expires)
		if err != nil {
			return fmt.Errorf("cannot read the date of artifact %s: %w", document.Quote(name), err)
		}
		kind := dockerKind(a.Type)
		path, cached := throughCache(w.Cache, a.Path)
		switch {
		case cached:
			p.note("artifact %s is taken from %s in the task directory, where its cache is", name, path)
		case strings.HasPrefix(path, "/"):
			p.note("artifact %s is taken from %s of this machine: there is no container", name, path)
		}
		p.Artifacts = append(p.Artifacts, Artifact{
			Type: kind, Path: path, Name: effectiveName(kind, "", name), Expires: expires, Optional: true,
		})
	}
	return nil
}

// throughCache returns where an artifact is, and whether a cache has taken it
// from an absolute path into the task directory.
func throughCache(caches map[string]string, path string) (string, bool) {
	clean := pathpkg.Clean(path)
	if !strings.HasPrefix(clean, "/") {
		return path, false
	}
	for _, cache := range caches {
		if at := pathpkg.Clean(cache); strings.HasPrefix(at, "/") && (clean == at || strings.HasPrefix(clean, at+"/")) {
			return clean[1:], true
		}
	}
	return path, false
}

func (p *Payload) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}
