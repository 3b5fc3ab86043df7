package trash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/mountpoint"
)

const (
	// deepest bounds the open files of a sweep: what lies deeper is moved up
	// before it is deleted.
	deepest = 32
	// passes bounds the work on a directory to which somebody still adds.
	passes = 10_000
	// batch is how many names of a directory are in memory at once.
	batch = 256
)

var errLater = errors.New("moved up to be deleted later")

// sweep deletes directory trees below top. It works through handles, one name
// at a time: it follows no link, enters no mount, and does not care how deep,
// long or strangely named the tree is.
type sweep struct {
	top   *os.Root
	mount mountpoint.ID
	err   error // why mount is not known
}

// Delete deletes what has the name in top, whatever it is. Nothing there is no error.
func Delete(ctx context.Context, top *os.Root, name string) error {
	return newSweep(top).delete(ctx, name)
}

func newSweep(top *os.Root) *sweep {
	s := &sweep{top: top}
	dir, err := top.Open(".")
	if err != nil {
		return &sweep{top: top, err: err}
	}
	defer dir.Close()
	s.mount, s.err = mountpoint.Of(dir, ".")
	return s
}

// delete deletes what has the name in top.
func (s *sweep) delete(ctx context.Context, name string) error {
	if s.err != nil {
		return s.err
	}
	dir, err := s.top.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := s.top.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return s.deleteDir(ctx, level{root: s.top, dir: dir}, name)
	}
	return s.top.Remove(name)
}

// level is an open directory at some depth below top.
type level struct {
	root  *os.Root
	dir   *os.File // the same directory, for reading and asking
	path  string   // below top
	depth int
}

func (s *sweep) deleteDir(ctx context.Context, in level, name string) error {
	path := filepath.Join(in.path, name)
	// A mode is part of what is mounted: look before changing it.
	if at, err := mountpoint.Of(in.dir, name); err != nil {
		return err
	} else if at != s.mount {
		return &fs.PathError{Op: "delete", Path: path, Err: mountpoint.ErrCrossed}
	}
	info, err := in.root.Lstat(name)
	if err != nil {
		return err
	}
	if err := makeUsable(in.root, name, info); err != nil {
		return err
	}
	if in.depth >= deepest {
		if err := s.top.Rename(path, unique("deep")); err != nil {
			return err
		}
		return errLater
	}
	root, err := in.root.OpenRoot(name)
	if err != nil {
		return err
	}
	err = s.clear(ctx, root, path, in.depth+1)
	if err = errors.Join(err, root.Close()); err != nil {
		return err
	}
	return in.root.Remove(name)
}

// clear deletes everything in a directory. It goes on after what it cannot
// delete and returns the first reason.
func (s *sweep) clear(ctx context.Context, root *os.Root, path string, depth int) error {
	if s.err != nil {
		return s.err
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	at := level{root: root, dir: dir, path: path, depth: depth}
	for range passes {
		deleted, err := s.pass(ctx, at)
		if err == nil && deleted == 0 {
			return nil
		}
		if deleted == 0 || ctx.Err() != nil {
			return err
		}
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return fmt.Errorf("cannot empty %s: something still adds files to it", path)
}

// pass deletes once what can be deleted. Names may be missed while others go
// away, which is why there are several.
func (s *sweep) pass(ctx context.Context, at level) (deleted int, first error) {
	for {
		entries, err := at.dir.ReadDir(batch)
		for _, entry := range entries {
			if ctx.Err() != nil {
				return deleted, context.Cause(ctx)
			}
			err := s.deleteEntry(ctx, at, entry)
			if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLater) {
				deleted++
			} else if first == nil {
				first = err
			}
		}
		switch {
		case errors.Is(err, io.EOF) || len(entries) == 0 && err == nil:
			return deleted, first
		case err != nil:
			return deleted, errors.Join(first, err)
		}
	}
}

func (s *sweep) deleteEntry(ctx context.Context, at level, entry fs.DirEntry) error {
	if entry.IsDir() {
		return s.deleteDir(ctx, at, entry.Name())
	}
	return at.root.Remove(entry.Name())
}
