package cache

import (
	"context"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

// Look returns what is in a store without taking it, whether a worker has it or
// not, the most recently used first.
func Look(d Dirs) ([]shelf.Entry, error) { return shelf.Look(d.writable(), d.contents()) }

// Events returns what happened to entries of that name or id, the oldest first,
// as far as it is remembered. Nobody need have the store.
func Events(d Dirs, name string) ([]shelf.Event, error) {
	return shelf.Events(name, d.writable(), d.contents())
}

// Ask leaves a request for the worker that has the store, who sees to it before
// the next task.
func Ask(d Dirs, r shelf.Request) error { return shelf.Ask(r, d.writable(), d.contents()) }

// Obey does what was asked for with Ask. The store looks for requests whenever
// something is taken from it or given back; who waits for tasks calls it as well.
func (s *Store) Obey(context.Context) {
	for _, on := range []*shelf.Shelf{s.writable, s.contents} {
		on.Requests(func(r shelf.Request) { s.remove(r, on) })
	}
}

// Remove discards what a request is about, and returns how many entries that
// were. Those in use are discarded when they are free again.
func (s *Store) Remove(r shelf.Request) (dropped, deferred int) { return s.remove(r, nil) }

// remove does so on one shelf, or on both.
func (s *Store) remove(r shelf.Request, on *shelf.Shelf) (dropped, deferred int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.byUse(func(e *entry) bool { return !e.gone && (on == nil || e.shelf == on) && r.Matches(e.shown()) }) {
		if s.drop(e, r.Reason) {
			dropped++
		} else {
			deferred++
		}
	}
	return dropped, deferred
}
