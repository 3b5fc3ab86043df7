package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// SHA256 is the hash of what was downloaded, in lower-case hexadecimal.
func (c *Content) SHA256() string { return c.entry.SHA256 }

// Path is where the content is kept, for logs.
func (c *Content) Path() string { return c.entry.path() }

// Open opens a file for reading; the caller closes it.
func (c *Content) Open() (*os.File, error) { return c.entry.shelf.Root.Open(c.entry.content()) }

// source is where the content is as long as no task has it.
func (c *Content) source() tree.Place {
	if c.aside != "" {
		return c.entry.shelf.Place(filepath.Join(c.aside, shelf.ContentName))
	}
	return c.entry.shelf.Place(c.entry.content())
}

// Place puts the content at path, with slashes, below into, whose absolute path is dir.
// Missing directories on the way are made, and no symbolic link is followed. A file is
// copied, or shares its blocks, and replaces a file that is there. A tree moves
// there if nothing or an empty directory is there, and is copied into a
// directory that has something in it or is "." itself, where files of the same name
// are replaced. An error for what else is there is ErrOccupied.
func (c *Content) Place(ctx context.Context, at *os.Root, dir, path string) error {
	target := into(at, dir, path)
	if c.entry.Kind == File {
		return c.placeFile(ctx, target)
	}
	err := target.Vacate()
	if err == nil {
		if err = c.moveOut(ctx, target); err == nil {
			return nil
		}
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, tree.ErrElsewhere) {
		return c.merge(ctx, target)
	}
	return err
}

// Copy puts a copy of a tree at path, as Place does if something is there. Who
// does not give the tree back had better leave it to the next one.
func (c *Content) Copy(ctx context.Context, at *os.Root, dir, path string) error {
	return c.merge(ctx, into(at, dir, path))
}

func (c *Content) placeFile(ctx context.Context, target tree.Place) error {
	file, err := c.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	return occupied(target.WithParent(func(in *os.Root, name string) error {
		return tree.CopyFile(ctx, file, in, name)
	}))
}

// moveOut moves the tree itself.
func (c *Content) moveOut(ctx context.Context, target tree.Place) error {
	e := c.entry
	if c.aside != "" {
		return tree.Move(c.source(), target)
	}
	if err := e.settled(ctx); err != nil {
		return err
	}
	e.moving.Lock()
	defer e.moving.Unlock()
	if err := e.lend(); err != nil {
		return fmt.Errorf("cannot note that a task gets %s: %w", e.path(), err)
	}
	if err := tree.Move(c.source(), target); err != nil {
		return errors.Join(err, c.store.settle(e, e.Reason))
	}
	c.out = true
	// Who wants a copy meanwhile finds the tree through this, wherever the task moves it.
	e.live, _ = target.OpenRoot()
	return nil
}

// merge copies the tree to where it cannot move.
func (c *Content) merge(ctx context.Context, target tree.Place) error {
	source := c.source()
	from, err := source.Root.OpenRoot(source.Path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := target.MakeRoot()
	if err != nil {
		return occupied(err)
	}
	defer to.Close()
	var manifest *tree.Manifest
	if c.aside == "" {
		if manifest, err = c.entry.shelf.ReadManifest(c.entry.dir()); err != nil {
			return err
		}
	}
	return occupied(tree.Copy(ctx, from, to, manifest))
}

// occupied makes the error for something that is in the way.
func occupied(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrOccupied, err)
	}
	return err
}

// Return takes a tree back from where Place put it, and closes the content. A
// tree that cannot be taken back is discarded, and the error says why: ErrMoved
// if the task has moved, removed or replaced it. For files and for trees that
// were copied it is Close.
func (c *Content) Return(_ context.Context, at *os.Root, dir, path string) error {
	defer c.Close()
	if !c.out {
		return nil
	}
	e := c.entry
	if err := e.takeBack(into(at, dir, path)); err != nil {
		return fmt.Errorf("cannot take %s back: %w", e.Name, err)
	}
	if err := c.store.settle(e, "returned by a task"); err != nil {
		return fmt.Errorf("cannot write that %s is back: %w", e.Name, err)
	}
	c.out = false
	e.note("returned", "")
	return nil
}

// takeBack moves what a task had back into the entry.
func (e *entry) takeBack(from tree.Place) error {
	e.moving.Lock()
	defer e.moving.Unlock()
	e.letGo()
	if err := from.Own(); err != nil {
		return fmt.Errorf("%w: %w", ErrMoved, err)
	}
	return tree.Move(from, e.shelf.Place(e.content()))
}

// Close ends the use. A tree that is still in a task is given up; what was
// never placed is as it was. Closing twice is allowed.
func (c *Content) Close() {
	if c.closed {
		return
	}
	c.closed = true
	switch {
	case c.aside != "":
		c.entry.shelf.Throw(c.aside)
	case c.out:
		c.store.discard(c.entry, "a task had it and it did not come back")
	default:
		c.store.release(c.entry)
	}
}
