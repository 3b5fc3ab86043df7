package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// Writable returns the freshest free cache of that name, exclusively, or a new
// empty one. The caller ends its use with Keep, Discard or Release.
func (s *Store) Writable(ctx context.Context, name string) (*Writable, error) {
	s.Obey(ctx)
	hash := hashOf(string(Cache), name)
	s.mu.Lock()
	free := s.byUse(func(e *entry) bool { return e.Key == hash && !e.gone && !e.inUse() })
	if len(free) > 0 {
		free[0].busy = true
		free[0].used()
	}
	s.mu.Unlock()
	if len(free) > 0 {
		free[0].note("used", "")
		return &Writable{store: s, entry: free[0]}, nil
	}
	e, err := s.newCache(name, hash)
	if err != nil {
		return nil, fmt.Errorf("cannot make cache %s in cachesDir: %w", name, err)
	}
	return &Writable{store: s, entry: e, fresh: true}, nil
}

// newCache makes an empty cache, in use from the beginning.
func (s *Store) newCache(name, hash string) (*entry, error) {
	on := s.writable
	id, err := on.Stage(hash)
	if err != nil {
		return nil, err
	}
	e := newEntry(on, id, shelf.Record{Kind: Cache, Name: name, Key: hash, Created: now(), LastUsed: now(), Uses: 1, Reason: "new"})
	e.busy = true
	staged := shelf.Staged(id)
	err = on.Root.Mkdir(filepath.Join(staged, shelf.ContentName), 0o755)
	if err == nil {
		err = on.Lend(staged)
	}
	if err == nil {
		err = on.WriteRecord(staged, e.Record)
	}
	if err == nil {
		err = on.Commit(id)
	}
	if err != nil {
		on.Throw(staged)
		return nil, err
	}
	s.mu.Lock()
	s.entries[id] = e
	s.mu.Unlock()
	e.note("made", "no cache of that name was free")
	return e, nil
}

// Writable is a writable cache in use by one run. Its methods are not called
// concurrently.
type Writable struct {
	store *Store
	entry *entry
	fresh bool
	out   bool
	left  bool
	ended bool
}

// Left tells that Place put the cache somewhere and nothing has taken it away from
// there: it was given up, or what was kept is a copy. Once a cache has moved
// back, its place may be another task's.
func (w *Writable) Left() bool { return w.left }

// Fresh tells that the cache is new and empty.
func (w *Writable) Fresh() bool { return w.fresh }

// Path is where the cache is kept, for logs.
func (w *Writable) Path() string { return w.entry.path() }

// Place moves the cache to path, with slashes, below into, whose absolute path is dir;
// if that is on another disk, it is copied. Missing directories on the way are
// made, and no symbolic link is followed. Only an empty directory may be there:
// the error for anything else is ErrOccupied.
func (w *Writable) Place(ctx context.Context, at *os.Root, dir, path string) error {
	target := into(at, dir, path)
	if err := target.Vacate(); err != nil {
		return occupied(err)
	}
	e := w.entry
	if err := e.lend(); err != nil {
		return fmt.Errorf("cannot note that a task gets cache %s: %w", e.Name, err)
	}
	w.out = true
	err := tree.Move(e.shelf.Place(e.content()), target)
	if errors.Is(err, tree.ErrElsewhere) {
		err = w.copyOut(ctx, target)
	}
	if err != nil {
		// The cache is where it was, and as it was.
		w.out = false
		return errors.Join(occupied(err), w.store.settle(e, e.Reason))
	}
	w.left = true
	return nil
}

func (w *Writable) copyOut(ctx context.Context, target tree.Place) error {
	from, err := w.entry.shelf.Root.OpenRoot(w.entry.content())
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := target.MakeRoot()
	if err != nil {
		return err
	}
	defer to.Close()
	if err := tree.CopyWhole(ctx, from, to); err != nil {
		return errors.Join(err, w.store.writable.Delete(target.Root, target.Path))
	}
	return nil
}

// Keep takes the cache back from where Place put it, unless it is to be purged,
// of which purged tells the reason. Bits that let a program run as another user
// are taken away; devices, sockets and named pipes are not kept. A cache that
// cannot be taken back is discarded, and the error says why: ErrMoved if the
// task has moved, removed or replaced it.
func (w *Writable) Keep(ctx context.Context, at *os.Root, dir, path string) (purged string, err error) {
	if w.ended || !w.out {
		w.Release()
		return "", nil
	}
	w.store.Obey(ctx)
	e := w.entry
	w.store.mu.Lock()
	purged = e.doom
	w.store.mu.Unlock()
	if purged != "" {
		w.Discard(purged)
		return purged, nil
	}
	if err := w.keep(ctx, into(at, dir, path)); err != nil {
		w.Discard("it could not be taken back: " + err.Error())
		return "", fmt.Errorf("cannot keep cache %s: %w", e.Name, err)
	}
	w.ended = true
	e.note("kept", "")
	w.store.release(e)
	w.store.evictSpare(e.Key)
	return "", nil
}

func (w *Writable) keep(ctx context.Context, from tree.Place) error {
	e := w.entry
	err := e.takeBack(from)
	w.left = err != nil
	if !errors.Is(err, ErrMoved) && (errors.Is(err, fs.ErrExist) || errors.Is(err, tree.ErrElsewhere)) {
		err = w.copyBack(ctx, from)
	}
	if err != nil {
		return err
	}
	content, err := e.shelf.Root.OpenRoot(e.content())
	if err != nil {
		return err
	}
	defer content.Close()
	bytes, err := tree.Tidy(ctx, content)
	if err != nil {
		return err
	}
	w.store.mu.Lock()
	e.Bytes, e.LastUsed = bytes, now()
	w.store.mu.Unlock()
	return w.store.settle(e, "kept after a task")
}

// copyBack puts a copy of what the task had in place of the content, which
// stayed where it was because the task is on another disk.
func (w *Writable) copyBack(ctx context.Context, from tree.Place) error {
	e := w.entry
	source, err := from.OpenRoot()
	if err != nil {
		return err
	}
	defer source.Close()
	if _, err := tree.Tidy(ctx, source); err != nil {
		return err
	}
	fresh := e.content() + ".new"
	if err := e.shelf.Root.Mkdir(fresh, 0o755); err != nil {
		return err
	}
	to, err := e.shelf.Root.OpenRoot(fresh)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := tree.CopyWhole(ctx, source, to); err != nil {
		return err
	}
	if err := e.shelf.ToTrash(e.shelf.Root, e.content()); err != nil {
		return err
	}
	return e.shelf.Root.Rename(fresh, e.content())
}

// Discard gives the cache up, wherever it is; after Keep and Release it does
// nothing.
func (w *Writable) Discard(reason string) {
	if w.ended {
		return
	}
	w.ended = true
	w.store.discard(w.entry, reason)
}

// Release gives back a cache that was never placed, as it was. One that was is
// discarded.
func (w *Writable) Release() {
	if w.out {
		w.Discard("a task had it and it did not come back")
	}
	if w.ended {
		return
	}
	w.ended = true
	if w.fresh {
		w.store.discard(w.entry, "no task had it")
		return
	}
	w.store.release(w.entry)
}

// evictSpare discards the least fresh of the free caches of one name if there
// are more than there can be tasks.
func (s *Store) evictSpare(hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.byUse(func(e *entry) bool { return e.Key == hash && !e.gone && !e.inUse() })
	for _, e := range free[min(len(free), s.options.Capacity):] {
		s.forget(e, "there are more caches of that name than tasks at a time")
	}
}

// Purge discards the writable caches of that name that were created before
// that time, and returns how many. Those in use are discarded when they come
// back. The reason is for those who ask why a cache is gone.
func (s *Store) Purge(name string, before time.Time, reason string) (dropped, deferred int) {
	hash := hashOf(string(Cache), name)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.byUse(func(e *entry) bool { return e.Key == hash && e.Created.Before(before) && !e.gone }) {
		if s.drop(e, reason) {
			dropped++
		} else {
			deferred++
		}
	}
	return dropped, deferred
}
