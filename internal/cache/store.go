package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// What is wrong with a place in a task.
var (
	// ErrOccupied tells that something is where content is to be put.
	ErrOccupied = errors.New("something else is there")
	// ErrMoved tells that a task has moved, removed or replaced a directory that is
	// to be taken back.
	ErrMoved = errors.New("it is not there any more")
)

// Options say where a store is and how it behaves.
type Options struct {
	Dirs
	// Capacity is how many free entries of one writable cache are worth
	// keeping: the number of tasks at a time. 0 is 1.
	Capacity int
	// FreeBytes tells how much can still be written to the disk of a directory.
	FreeBytes func(dir string) (int64, error)
	Log       *slog.Logger // speaks to the operator; nil is silence
}

// Dirs are the directories of a store.
type Dirs struct {
	Caches    string // for writable caches
	Downloads string // for files and trees
}

// What a store has in its directories. What else is in them is left alone.
const (
	writableName = "writable"
	contentsName = "content"
)

func (d Dirs) writable() string { return filepath.Join(d.Caches, writableName) }
func (d Dirs) contents() string { return filepath.Join(d.Downloads, contentsName) }

// Store keeps entries in two directories, which no other process uses
// meanwhile. Its methods are called concurrently.
type Store struct {
	writable *shelf.Shelf
	contents *shelf.Shelf
	options  Options
	log      *slog.Logger

	mu      sync.Mutex
	entries map[string]*entry
	filling map[string]chan struct{} // by the hash of the key, closed when the fill is over
	changed *notes
}

// Open makes the directories, takes them for this process, and discards what an
// earlier one left half made or in use. If another process has them, the error
// is a *filelock.HeldError.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{
		options: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		entries: map[string]*entry{}, filling: map[string]chan struct{}{},
	}
	s.options.Capacity = max(1, o.Capacity)
	var err error
	if s.writable, err = s.openShelf(ctx, o.writable(), "cachesDir"); err != nil {
		return nil, err
	}
	if s.contents, err = s.openShelf(ctx, o.contents(), "downloadsDir"); err != nil {
		return nil, errors.Join(err, s.writable.Close(ctx))
	}
	s.changed = readNotes(s.contents, s.log)
	return s, nil
}

func (s *Store) openShelf(ctx context.Context, dir, setting string) (*shelf.Shelf, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot find %s: %w", setting, err)
	}
	on, err := shelf.Open(ctx, dir, setting, s.log)
	if err != nil {
		return nil, err
	}
	for _, id := range on.IDs() {
		s.load(on, id)
	}
	return on, nil
}

// load takes one entry into account, or discards it.
func (s *Store) load(on *shelf.Shelf, id string) {
	r, why := on.Inspect(id)
	e := newEntry(on, id, r)
	if why == "" {
		s.entries[id] = e
		return
	}
	s.log.Warn("discarding a cache", "name", e.Name, "path", e.path(), "reason", why)
	e.note("discarded", why)
	on.Throw(e.dir())
}

// Close waits until what was discarded is deleted, but not longer than ctx,
// and gives the directories back. Nothing may be in use.
func (s *Store) Close(ctx context.Context) error {
	return errors.Join(s.contents.Close(ctx), s.writable.Close(ctx))
}

// Dirs are the absolute paths of the directories that the store is in.
func (s *Store) Dirs() Dirs {
	return Dirs{Caches: filepath.Dir(s.writable.Dir), Downloads: filepath.Dir(s.contents.Dir)}
}

// List returns all entries, the most recently used first.
func (s *Store) List() []shelf.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]shelf.Entry, 0, len(s.entries))
	for _, e := range s.entries {
		all = append(all, e.shown())
	}
	shelf.Sort(all)
	return all
}

// byUse returns the entries that wanted picks, the most recently used first.
// The mutex is held.
func (s *Store) byUse(wanted func(*entry) bool) []*entry {
	found := slices.Collect(maps.Values(s.entries))
	found = slices.DeleteFunc(found, func(e *entry) bool { return !wanted(e) })
	slices.SortFunc(found, func(a, b *entry) int {
		return cmp.Or(b.LastUsed.Compare(a.LastUsed), cmp.Compare(a.id, b.id))
	})
	return found
}

// note remembers what happened to an entry.
func (e *entry) note(what, reason string) {
	e.shelf.Note(shelf.Event{What: what, Kind: e.Kind, Name: e.Name, ID: e.id, Reason: reason, Bytes: e.Bytes})
}

// drop discards an entry, at once if it is free and else when it is free again.
// It tells whether that was at once. The mutex is held.
func (s *Store) drop(e *entry, reason string) bool {
	if e.inUse() {
		e.gone, e.doom = true, cmp.Or(e.doom, reason)
		return false
	}
	s.forget(e, reason)
	return true
}

// forget throws an entry away. The mutex is held.
func (s *Store) forget(e *entry, reason string) {
	e.gone = true
	delete(s.entries, e.id)
	e.note("discarded", reason)
	e.shelf.Throw(e.dir())
}

// isGone tells whether an entry is discarded, or will be when it is free.
func (s *Store) isGone(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.gone
}

// release ends a use; a doomed entry goes when nobody has it any more.
func (s *Store) release(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.users > 0 {
		e.users--
	} else {
		e.busy = false
	}
	if e.doom != "" && !e.inUse() {
		s.forget(e, e.doom)
	}
}

// discard ends an exclusive use, and the entry with it.
func (s *Store) discard(e *entry, reason string) {
	s.mu.Lock()
	e.doom = cmp.Or(e.doom, reason, "it was given up")
	s.mu.Unlock()
	e.moving.Lock()
	e.letGo()
	e.moving.Unlock()
	s.release(e)
}

// Delete takes away what is at path, with slashes, below at. On the disk of the
// writable caches that is one move; on another one it is deleted meanwhile.
func (s *Store) Delete(at *os.Root, path string) error {
	return s.writable.Delete(at, filepath.FromSlash(path))
}

// settle writes what is known of an entry, whose content is complete, and that
// it is at rest.
func (s *Store) settle(e *entry, reason string) error {
	s.mu.Lock()
	e.Reason = reason
	r := e.Record
	s.mu.Unlock()
	return e.shelf.Settle(e.dir(), r)
}

// into makes a Place of where a task wants something.
func into(root *os.Root, dir, path string) tree.Place {
	return tree.Place{Root: root, Dir: dir, Path: filepath.FromSlash(path)}
}

// now is the time of a record.
func now() time.Time { return time.Now().UTC() }
