package artifacts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	from     payload.Artifact
	found    error           // why there is nothing to publish
	record   artifact.Record // how it was published
	err      error           // why it was not
	fatal    error           // what it means for the task
	reserved bool            // the name is a feature's
	nameless bool            // the name is another's
}

// omission is something that is no artifact although an entry includes it.
type omission struct {
	path string
	why  error
}

// list collects what the payload asks for, in order of name. Files are taken
// before globs and those before directories, since whoever names a file means
// that one's settings.
func (p *publication) list(ctx context.Context) []*item {
	c := &collection{publication: p, byName: map[string]*item{}, left: map[string]bool{}}
	for _, kind := range []string{payload.File, payload.Glob, payload.Directory} {
		for _, a := range p.run.Payload.Artifacts {
			if a.Type == kind {
				c.add(ctx, a)
			}
		}
	}
	c.addFailed()
	slices.SortStableFunc(c.items, func(a, b *item) int { return strings.Compare(a.name, b.name) })
	return c.items
}

type collection struct {
	*publication
	items  []*item
	failed []*item // entries that have no file
	byName map[string]*item
	left   map[string]bool // directories left out, however many entries include them
	bytes  int64
	full   bool // one file too many was found
}

var errFull = errors.New("the task has too many artifacts; nothing from here on was looked at")

func (c *collection) add(ctx context.Context, a payload.Artifact) {
	if c.full {
		c.omit(a.Path, errFull)
		return
	}
	var err error
	switch a.Type {
	case payload.File:
		c.file(a)
	case payload.Glob:
		err = c.glob(ctx, a)
	default:
		err = c.tree.Walk(ctx, a.Path, func(e taskdir.Entry) bool {
			c.child(a, e)
			return !c.full
		})
	}
	if err != nil {
		c.failed = append(c.failed, &item{name: nameOf(a, ""), path: a.Path, from: a, found: err})
	}
}

// addFailed takes the entries that have no file to name, so that their own names
// tell of them, unless those are names of something else.
func (c *collection) addFailed() {
	for _, i := range c.failed {
		i.nameless = c.byName[i.name] != nil || c.reserved(i.name)
		c.byName[i.name] = i
		c.items = append(c.items, i)
	}
}

func (c *collection) reserved(name string) bool {
	return c.run.Reserved != nil && c.run.Reserved(name)
}

func (c *collection) file(a payload.Artifact) {
	info, err := c.tree.Stat(a.Path)
	i := &item{name: a.Name, path: a.Path, from: a, found: err}
	if err == nil {
		i.size = info.Size()
	}
	c.take(i)
}

// counted is how many files are counted that a glob matches beyond its maxFiles.
const counted = 1000

// glob takes the files that match a pattern, as many as the entry allows, and
// counts the others, but not for ever.
func (c *collection) glob(ctx context.Context, a payload.Artifact) error {
	pattern, err := payload.ParsePattern(a.Path)
	if err != nil {
		return &artifact.FileError{Path: a.Path, Reason: artifact.Invalid, Err: err}
	}
	matched, seen := 0, 0
	err = c.tree.WalkTo(ctx, pattern.Dir, pattern.Depth(), func(e taskdir.Entry) bool {
		switch {
		case e.Dir: // what is in there may match
			if c.child(a, e) {
				seen++
			}
		case pattern.Match(e.Name):
			if matched++; matched <= a.MaxFiles {
				c.child(a, e)
			}
		}
		return !c.full && matched < a.MaxFiles+counted
	})
	switch {
	case err != nil:
		return err
	case matched == a.MaxFiles+counted:
		c.excess(task.Errorf(task.Failed, "%d files and maybe more match %s, and its maxFiles is %d; write a narrower pattern", matched, a.Path, a.MaxFiles))
		c.omit(a.Path, fmt.Errorf("%d files or more that match are more than its maxFiles", counted))
	case matched > a.MaxFiles:
		err := task.Errorf(task.Failed, "%d files match %s, and its maxFiles is %d; raise it, or write a narrower pattern",
			matched, a.Path, a.MaxFiles)
		c.excess(err)
		c.omit(a.Path, fmt.Errorf("%d of the %d files that match are more than its maxFiles", matched-a.MaxFiles, matched))
	case matched+seen == 0:
		return &artifact.FileError{Path: a.Path, Reason: artifact.Missing, Err: errors.New("no file matches it")}
	}
	return nil
}

// child takes what was found below a directory, and tells whether it did.
func (c *collection) child(a payload.Artifact, e taskdir.Entry) bool {
	name := nameOf(a, e.Name)
	if errors.Is(e.Err, taskdir.ErrLinkedDirectory) || errors.Is(e.Err, taskdir.ErrTooDeep) {
		if at := c.tree.Clean(e.Path); !c.left[at] {
			c.left[at] = true
			c.run.Log.Warn("Left out %s from artifact %s %s: %v", artifact.Printable(e.Path), a.Type, artifact.Printable(a.Path), e.Err)
			c.omit(e.Path, e.Err)
		}
		return false
	}
	i := &item{name: name, path: e.Path, size: e.Size, from: a, found: e.Err}
	if err := payload.CheckArtifactName(name); err != nil {
		i.found = &artifact.FileError{Path: e.Path, Reason: artifact.Invalid, Err: err}
	}
	c.take(i)
	return true
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
				"artifact %s would be both %s and %s; give one of them another name",
				artifact.Printable(i.name), artifact.Printable(other.path), artifact.Printable(i.path))
			c.run.Log.Error("%v", other.fatal)
			c.omit(i.path, fmt.Errorf("the name %s is that of %s", artifact.Printable(i.name), artifact.Printable(other.path)))
		}
		return
	}
	if c.reserved(i.name) {
		c.run.Log.Warn("Left out artifact %s from %s: the name belongs to a feature of this task", i.name, artifact.Printable(i.path))
		c.omit(i.path, fmt.Errorf("the name %s belongs to a feature of this task", i.name))
		c.byName[i.name] = &item{reserved: true}
		return
	}
	if len(c.items) == c.MaxFiles {
		if !c.full {
			c.full = true
			c.excess(task.Errorf(task.Failed, "the task has more than %d artifacts; publish an archive of them instead, or ask the pool's owner for more (artifactLimits)", c.MaxFiles))
			c.omit(i.path, errFull)
		}
		return
	}
	if i.found == nil && i.size > c.MaxBytes-c.bytes {
		err := fmt.Errorf("with it the artifacts of the task have more than %d bytes; leave out what is not needed, or ask the pool's owner for more (artifactLimits)", c.MaxBytes)
		i.found = &artifact.FileError{Path: i.path, Reason: artifact.TooLarge, Err: err}
	} else if i.found == nil {
		c.bytes += i.size
	}
	c.byName[i.name] = i
	c.items = append(c.items, i)
}

// excess notes that there is more than somebody allowed, which is no matter of
// one artifact.
func (c *collection) excess(err error) {
	c.run.Log.Error("%v", err)
	c.over = task.First(c.over, err)
}

func (c *collection) omit(path string, why error) {
	c.omitted = append(c.omitted, omission{path: path, why: why})
}
