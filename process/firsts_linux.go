package process

import (
	"sync"

	"github.com/taskcluster/generic-worker/process/table"
)

// firsts are the running trees by the number of their first process, which is
// theirs until that is reaped. A first process and its session belong to no
// other tree, whatever they have in common.
type firsts struct {
	mu    sync.Mutex
	trees map[int]*tree
}

func (f *firsts) add(t *tree) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trees[t.pid] = t
}

// remove is called before the first process is reaped.
func (f *firsts) remove(t *tree) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.trees, t.pid)
}

// another tells whether a process is the first of another tree than t, or in
// its session.
func (f *firsts) another(t *tree, e table.Entry) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pid := range [...]int{e.PID, e.Session} {
		if owner := f.trees[pid]; owner != nil && owner != t {
			return true
		}
	}
	return false
}
