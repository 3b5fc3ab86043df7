package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/taskcluster/generic-worker/internal/mountpoint"
)

const (
	// deepest bounds the directories that are open at once.
	deepest = 256
	// batch is how many names of a directory are in memory at once.
	batch = 1024
)

// errSkip, returned for a directory, leaves out what is in it.
var errSkip = errors.New("skip this directory")

// MountedError tells that something else is mounted in a tree, which nobody changes,
// copies or deletes then.
type MountedError struct{ Path string }

func (e *MountedError) Error() string {
	return fmt.Sprintf("something is mounted at %q; let the task unmount it", e.Path)
}

// entry is one thing in a tree.
type entry struct {
	in   *os.Root // the directory it is in
	name string
	path string // from the top, with slashes
	stat Stat
}

// walk visits everything below root, directories before what is in them, in
// no order. It follows no link and enters no mount. What is gone before its turn
// is left out.
func walk(ctx context.Context, root *os.Root, visit func(entry) error) error {
	return (&walker{visit: visit}).dir(ctx, entry{in: root, name: ".", path: "."}, 0)
}

type walker struct {
	visit func(entry) error
	mount mountpoint.ID // of the top
}

func (w *walker) dir(ctx context.Context, at entry, depth int) error {
	if depth > deepest {
		return fmt.Errorf("there are more than %d directories within each other at %s", deepest, at.path)
	}
	root, err := at.in.OpenRoot(at.name)
	if errors.Is(err, fs.ErrNotExist) && depth > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if depth == 0 {
		if w.mount, err = mountpoint.Of(dir, "."); err != nil {
			return err
		}
	}
	for {
		names, err := dir.Readdirnames(batch)
		if len(names) == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		found := make([]entry, 0, len(names))
		err = statAll(dir, names, func(name string, stat Stat) {
			found = append(found, entry{in: root, name: name, path: path.Join(at.path, name), stat: stat})
		})
		if err != nil {
			return err
		}
		for _, e := range found {
			if err := w.entry(ctx, dir, e, depth); err != nil {
				return err
			}
		}
	}
}

// entry visits one thing in an open directory, and what is in it.
func (w *walker) entry(ctx context.Context, in *os.File, e entry, depth int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e.stat.Mode&^(fs.ModePerm|fs.ModeSymlink) != 0 { // neither a plain file nor a link
		at, err := mountpoint.Of(in, e.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case at != w.mount:
			return &MountedError{Path: e.path}
		}
	}
	err := w.visit(e)
	if errors.Is(err, errSkip) {
		return nil
	}
	if err == nil && e.stat.Mode.IsDir() {
		err = w.dir(ctx, e, depth+1)
	}
	return err
}
