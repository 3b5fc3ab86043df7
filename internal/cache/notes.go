package cache

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

const (
	notesName = "changed-by-tasks.json"
	mostNotes = 1000
)

// notes are the trees that tasks have changed, by the hash of their key. The
// store's mutex guards them.
type notes struct {
	shelf *shelf.Shelf
	log   *slog.Logger
	when  map[string]time.Time
}

// readNotes reads what was noted; what cannot be read is forgotten.
func readNotes(s *shelf.Shelf, log *slog.Logger) *notes {
	n := &notes{shelf: s, log: log, when: map[string]time.Time{}}
	if text, err := s.Root.ReadFile(notesName); err == nil && json.Unmarshal(text, &n.when) != nil {
		n.when = map[string]time.Time{}
	}
	return n
}

func (n *notes) has(hash string) bool {
	_, noted := n.when[hash]
	return noted
}

// add notes a tree, and forgets the oldest ones if there are many.
func (n *notes) add(hash string) {
	n.when[hash] = now()
	if len(n.when) > mostNotes {
		oldest := slices.SortedFunc(maps.Keys(n.when), func(a, b string) int { return n.when[a].Compare(n.when[b]) })
		for _, hash := range oldest[:mostNotes/2] {
			delete(n.when, hash)
		}
	}
	text, err := json.Marshal(n.when)
	if err == nil {
		err = n.shelf.Write(notesName, text)
	}
	if err != nil {
		n.log.Warn("cannot note that tasks change a directory", "error", err)
	}
}
