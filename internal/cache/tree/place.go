package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrElsewhere tells that something cannot be moved because the place is on
// another disk; it can be copied.
var ErrElsewhere = errors.New("the place is on another disk")

// Place is a path below an open directory.
type Place struct {
	Root *os.Root
	Dir  string // path of Root, for systems that cannot rename by handle
	Path string // below Root, in the system's spelling; "." is Root itself
}

// Name is the path of the place, for messages.
func (p Place) Name() string { return filepath.Join(p.Dir, p.Path) }

// parent opens the directory that the place is in, through no symbolic link.
func (p Place) parent(missing func(in *os.Root, name string) error) (*os.Root, string, error) {
	path := filepath.Clean(p.Path)
	if !filepath.IsLocal(path) || path == "." {
		return nil, "", &fs.PathError{Op: "open", Path: p.Path, Err: fs.ErrInvalid}
	}
	at, err := p.Root.OpenRoot(".")
	if err != nil {
		return nil, "", err
	}
	parts := strings.Split(path, string(filepath.Separator))
	for _, name := range parts[:len(parts)-1] {
		below, err := enter(at, name, missing)
		if err = errors.Join(err, at.Close()); err != nil {
			return nil, "", err
		}
		at = below
	}
	return at, parts[len(parts)-1], nil
}

// enter opens a directory in another one, unless it is a symbolic link.
func enter(in *os.Root, name string, missing func(in *os.Root, name string) error) (*os.Root, error) {
	info, err := in.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = missing(in, name); err == nil {
			info, err = in.Lstat(name)
		}
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, errNotDir(in, name)
	}
	return in.OpenRoot(name)
}

// makeDir is for missing directories on the way to a place.
func makeDir(in *os.Root, name string) error { return in.Mkdir(name, 0o755) }

// leaveMissing is for those that must be there.
func leaveMissing(in *os.Root, name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Vacate makes the directories on the way to a place and removes an empty
// directory that is there. Something else there is an error that is fs.ErrExist.
func (p Place) Vacate() error {
	parent, name, err := p.parent(makeDir)
	if err != nil {
		return err
	}
	defer parent.Close()
	info, err := parent.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir() && parent.Remove(name) == nil:
		return nil
	}
	return &fs.PathError{Op: "place", Path: p.Name(), Err: fs.ErrExist}
}

// Move moves a file or a directory, by one rename, to a place where nothing is;
// the directory the place is in must be there. If that is on another disk, the
// error is ErrElsewhere.
func Move(from, to Place) error {
	source, name, err := from.parent(leaveMissing)
	if err != nil {
		return err
	}
	defer source.Close()
	target, newName, err := to.parent(leaveMissing)
	if err != nil {
		return err
	}
	defer target.Close()
	return rename(step{from, source, name}, step{to, target, newName})
}

// step is a place with its directory opened.
type step struct {
	place Place
	in    *os.Root
	name  string
}

// WithParent calls do with the directory that the place is in, which is made
// if need be.
func (p Place) WithParent(do func(in *os.Root, name string) error) error {
	parent, name, err := p.parent(makeDir)
	if err != nil {
		return err
	}
	defer parent.Close()
	return do(parent, name)
}

// OpenRoot opens the directory at a place; it follows no symbolic link.
func (p Place) OpenRoot() (*os.Root, error) {
	if filepath.Clean(p.Path) == "." {
		return p.Root.OpenRoot(".")
	}
	parent, name, err := p.parent(leaveMissing)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	return enter(parent, name, leaveMissing)
}

// MakeRoot makes the directory at a place, unless it is there, and opens it. The
// error for something else there is fs.ErrExist.
func (p Place) MakeRoot() (*os.Root, error) {
	if filepath.Clean(p.Path) == "." {
		return p.Root.OpenRoot(".")
	}
	var root *os.Root
	err := p.WithParent(func(in *os.Root, name string) error {
		err := in.Mkdir(name, 0o755)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		root, err = enter(in, name, leaveMissing)
		return err
	})
	return root, err
}

// Own makes sure that a directory is at the place which its owner can move and
// enter.
func (p Place) Own() error {
	parent, name, err := p.parent(leaveMissing)
	if err != nil {
		return err
	}
	defer parent.Close()
	info, err := parent.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errNotDir(parent, name)
	}
	if info.Mode().Perm()&0o700 == 0o700 {
		return nil
	}
	return parent.Chmod(name, info.Mode().Perm()|0o700)
}

// errNotDir is fs.ErrExist: something is where a directory has to be.
func errNotDir(in *os.Root, name string) error {
	return &fs.PathError{Op: "enter", Path: filepath.Join(in.Name(), name), Err: fmt.Errorf("it is not a directory: %w", fs.ErrExist)}
}
