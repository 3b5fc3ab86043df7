package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// collectLimit bounds how long Free works.
const collectLimit = 60 * time.Second

// Free discards what was used least recently on the disk of a directory, until
// need bytes can be written to it, for at most 60 seconds, and returns how many
// bytes it discarded. What is in use stays. It is no error that there is too
// little to discard.
func (s *Store) Free(ctx context.Context, dir string, need int64) (discarded int64, err error) {
	limited, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	shelves, err := s.onDisk(dir)
	if err != nil {
		return 0, err
	}
	// What is being deleted already may be enough.
	for _, on := range shelves {
		on.Emptied(limited)
	}
	for limited.Err() == nil {
		free, err := s.options.FreeBytes(dir)
		if err != nil || free >= need {
			return discarded, err
		}
		bytes := s.evict(shelves, need-free)
		if bytes < 0 {
			break
		}
		discarded += bytes
		for _, on := range shelves {
			on.Emptied(limited)
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return discarded, err
}

// onDisk returns the shelves that are on the disk of a directory.
func (s *Store) onDisk(dir string) (map[string]*shelf.Shelf, error) {
	found := map[string]*shelf.Shelf{}
	for _, on := range []*shelf.Shelf{s.writable, s.contents} {
		same, err := tree.SameDisk(dir, on.Dir)
		if err != nil {
			return nil, fmt.Errorf("cannot tell which disk a directory is on: %w", err)
		}
		if same {
			found[on.Dir] = on
		}
	}
	return found, nil
}

// evict discards entries that together have as many bytes, if there are, and
// returns how many they had; -1 if there was nothing to discard.
func (s *Store) evict(shelves map[string]*shelf.Shelf, bytes int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.byUse(func(e *entry) bool { return shelves[e.shelf.Dir] != nil && !e.inUse() && !e.gone })
	if len(free) == 0 {
		return -1
	}
	var discarded int64
	for i := len(free) - 1; i >= 0 && (discarded < bytes || discarded == 0); i-- {
		discarded += max(1, free[i].Bytes)
		s.forget(free[i], fmt.Sprintf("the disk was short of %d MiB, and this was used least recently", bytes>>20))
	}
	return discarded
}
