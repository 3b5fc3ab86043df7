package taskdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

const (
	maxDepth   = 128     // of directories below the one walked
	maxEntries = 100_000 // of one directory
)

// Why Walk does not go into a directory, for errors.Is.
var (
	ErrLinkedDirectory = errors.New("it is a symbolic link to a directory, which is not followed")
	ErrTooDeep         = fmt.Errorf("it is more than %d directories deep", maxDepth)
)

// Entry is something below a directory.
type Entry struct {
	Path string // as Open takes it, with slashes
	Name string // relative to the directory that is walked, with slashes
	Size int64
	Dir  bool // it is a directory, of which nothing is visited because of Err
	// Err is a *artifact.FileError if the entry cannot be looked at, or tells why a
	// directory is left out.
	Err error
}

// Walk calls visit for everything below the directory at dir that is not a
// directory itself, in order of path, until visit returns false or ctx ends.
// Symbolic links to files are followed as by Open, those to directories are not.
// The error is a *artifact.FileError about dir itself.
func (t Tree) Walk(ctx context.Context, dir string, visit func(Entry) bool) error {
	return t.walk(dir, &walk{tree: t, visit: visit, end: ctx.Done(), depth: maxDepth, tooDeep: ErrTooDeep})
}

// WalkTo is Walk for those entries only that have at most depth directories
// between them and dir; what is deeper is not looked at. With a negative depth
// it is Walk.
func (t Tree) WalkTo(ctx context.Context, dir string, depth int, visit func(Entry) bool) error {
	if depth < 0 || depth > maxDepth {
		return t.Walk(ctx, dir, visit)
	}
	return t.walk(dir, &walk{tree: t, visit: visit, end: ctx.Done(), depth: depth})
}

func (t Tree) walk(dir string, w *walk) error {
	names, err := t.names(dir)
	if err != nil {
		return err
	}
	w.names(filepath.ToSlash(dir), "", names, 0)
	return nil
}

type walk struct {
	tree    Tree
	visit   func(Entry) bool
	end     <-chan struct{}
	depth   int   // of directories to go into
	tooDeep error // of those below; nil passes over them
}

// names visits the named entries of one directory and tells whether to go on.
func (w *walk) names(dir, prefix string, names []string, depth int) bool {
	for _, name := range names {
		select {
		case <-w.end:
			return false
		default:
		}
		e := Entry{Path: path.Join(dir, name), Name: path.Join(prefix, name)}
		if !w.entry(e, depth) {
			return false
		}
	}
	return true
}

func (w *walk) entry(e Entry, depth int) bool {
	link, info, err := w.tree.look(e.Path)
	switch {
	case err != nil:
		e.Err = fileError(e.Path, err)
	case !info.IsDir():
		e.Size = info.Size()
	case depth == w.depth && w.tooDeep == nil:
		return true
	case link:
		e.Dir, e.Err = true, ErrLinkedDirectory
	case depth == w.depth:
		e.Dir, e.Err = true, w.tooDeep
	default:
		names, err := w.tree.names(e.Path)
		if err == nil {
			return w.names(e.Path, e.Name, names, depth+1)
		}
		e.Dir, e.Err = true, err
	}
	return w.visit(e)
}

// look tells whether a path ends in a symbolic link, and what it leads to.
func (t Tree) look(name string) (link bool, info fs.FileInfo, err error) {
	lstat := os.Lstat
	local, inside := t.local(name)
	if inside {
		lstat = t.Root.Lstat
	} else {
		local = name
	}
	info, err = lstat(local)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return false, info, err
	}
	info, _, err = t.stat(name)
	return true, info, err
}

// names returns the sorted names in a directory.
func (t Tree) names(name string) ([]string, error) {
	dir, err := t.Directory(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var names []string
	for len(names) <= maxEntries {
		more, err := dir.Readdirnames(1024)
		names = append(names, more...)
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, fileError(name, err)
		}
	}
	return nil, &artifact.FileError{Path: name, Reason: artifact.TooLarge, Err: fmt.Errorf("it has more than %d entries", maxEntries)}
}
