package cache

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

// entry is something that is kept. Its fields are guarded by the store's mutex
// but for those of whoever has it in use.
type entry struct {
	shelf.Record
	id    string
	shelf *shelf.Shelf
	busy  bool   // one run has it for itself
	users int    // how many runs read it
	gone  bool   // nobody else gets it any more
	doom  string // why it is discarded when it is free again

	newest int64    // last change of a file in a tree
	live   *os.Root // where a tree is as long as a task has it
	// moving is held for reading while the tree is copied, and for writing while it is moved.
	moving sync.RWMutex
	saving sync.Mutex // held while the record of a file is written
}

func newEntry(s *shelf.Shelf, id string, r shelf.Record) *entry {
	return &entry{shelf: s, id: id, Record: r}
}

// inUse tells whether any run has the entry. The store's mutex is held.
func (e *entry) inUse() bool { return e.busy || e.users > 0 }

// dir is the entry's directory on its shelf.
func (e *entry) dir() string { return shelf.Kept(e.id) }

func (e *entry) content() string { return filepath.Join(e.dir(), shelf.ContentName) }

func (e *entry) path() string { return filepath.Join(e.shelf.Dir, e.content()) }

// shown is what others may know of the entry. The store's mutex is held.
func (e *entry) shown() shelf.Entry {
	shown := e.Entry(e.id, e.path())
	shown.InUse = e.inUse()
	return shown
}

// lend notes on the disk that the content may leave the entry.
func (e *entry) lend() error { return e.shelf.Lend(e.dir()) }

// used notes a use.
func (e *entry) used() {
	e.Uses++
	e.LastUsed = now()
}

// letGo closes the handle on a tree that a task had; moving is held for writing.
func (e *entry) letGo() {
	if e.live != nil {
		_ = e.live.Close() // it was opened for reading only
		e.live = nil
	}
}
