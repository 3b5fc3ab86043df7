package artifacts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/artifact/taskdir"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

// item is one artifact to publish.
type item struct {
	name     string
	path     string
	size     int64
	expires  time.Time
	from     payload.Artifact
	found    error           // why there is nothing to publish
	record   artifact.Record // how it was published
	fatal    error           // what it means for the task
	reserved bool            // the name is a feature's
}

// list collects what the payload asks for, in order of name. Files are taken
// before directories, since whoever names a file means that one's settings.
func (p *publication) list() []*item {
	c := &collection{publication: p, byName: map[string]*item{}}
	for _, kind := range []string{payload.File, payload.Directory} {
		for _, a := range p.run.Payload.Artifacts {
			if a.Type == kind {
				c.add(a)
			}
		}
	}
	slices.SortStableFunc(c.items, func(a, b *item) int { return strings.Compare(a.name, b.name) })
	return c.items
}

type collection struct {
	*publication
	items  []*item
	byName map[string]*item
	bytes  int64
	full   bool // one file too many was found
}

func (c *collection) add(a payload.Artifact) {
	if a.Type == payload.File {
		info, err := c.tree.Stat(a.Path)
		i := &item{name: a.Name, path: a.Path, from: a, found: err}
		if err == nil {
			i.size = info.Size()
		}
		c.take(i)
		return
	}
	err := c.tree.Walk(a.Path, func(e taskdir.Entry) bool {
		c.child(a, e)
		return !c.full
	})
	if err != nil {
		// There is no file to name, so the directory's own name tells of it.
		c.take(&item{name: nameOf(a, ""), path: a.Path, from: a, found: err})
	}
}

// child takes what was found below a directory.
func (c *collection) child(a payload.Artifact, e taskdir.Entry) {
	name := nameOf(a, e.Name)
	if errors.Is(e.Err, taskdir.ErrLinkedDirectory) || errors.Is(e.Err, taskdir.ErrTooDeep) {
		c.run.Log.Warn("Left out %s from artifact directory %s: %v", e.Path, a.Path, e.Err)
		return
	}
	i := &item{name: name, path: e.Path, size: e.Size, from: a, found: e.Err}
	if err := payload.CheckArtifactName(name); err != nil {
		i.found = task.Errorf(task.Failed, "cannot publish %q: %w", e.Path, err)
	}
	c.take(i)
}

// nameOf returns the name of a file below an artifact directory.
func nameOf(a payload.Artifact, below string) string {
	switch {
	case a.Name == "" && below == "":
		return a.Path
	case a.Name == "":
		return below
	case below == "":
		return a.Name
	}
	return a.Name + "/" + below
}

// take adds an item, unless it is there already, or no room is left for it.
func (c *collection) take(i *item) {
	if other, ok := c.byName[i.name]; ok {
		if !other.reserved && c.tree.Clean(other.path) != c.tree.Clean(i.path) {
			other.fatal = task.Errorf(task.MalformedPayload,
				"artifact %s would be both %s and %s; give one of them another name", i.name, other.path, i.path)
			c.run.Log.Error("%v", other.fatal)
		}
		return
	}
	if c.run.Reserved != nil && c.run.Reserved(i.name) {
		c.run.Log.Warn("Left out artifact %s from %s: the name belongs to a feature of this task", i.name, i.path)
		c.byName[i.name] = &item{reserved: true}
		return
	}
	if len(c.items) == c.MaxFiles {
		if c.full {
			return
		}
		c.full = true
		err := task.Errorf(task.Failed, "the task has more than %d artifacts; publish an archive of them instead", c.MaxFiles)
		c.run.Log.Error("%v", err)
		c.items[0].fatal = task.First(c.items[0].fatal, err)
		return
	}
	i.expires = i.from.Expires
	if i.expires.IsZero() {
		i.expires = time.Time(c.run.Definition.Expires)
	}
	if i.found == nil && i.size > c.MaxBytes-c.bytes {
		err := fmt.Errorf("with it the artifacts of the task have more than %d bytes", c.MaxBytes)
		i.found = &artifact.FileError{Path: i.path, Reason: artifact.TooLarge, Err: err}
	} else if i.found == nil {
		c.bytes += i.size
	}
	c.byName[i.name] = i
	c.items = append(c.items, i)
}
