//go:build unix

package table

import (
	"iter"
	"os"
)

// Entry is one line of the process table.
type Entry struct {
	PID, Parent, Group, Session int // Session is 0 on Darwin, which does not tell
	Name                        string
	Start                       uint64 // when it started, in the system's unit; with PID it names a process for ever
	Dead                        bool   // a zombie
}

// AddDescendants adds to ours all that descends from what is in it, never
// this process.
func AddDescendants(ours map[int]bool, entries []Entry) {
	self := os.Getpid()
	for grew := true; grew; {
		grew = false
		for _, e := range entries {
			if ours[e.Parent] && !ours[e.PID] && e.PID != self {
				ours[e.PID], grew = true, true
			}
		}
	}
}

// Ancestors are this process and those it descends from.
func (r *Reader) Ancestors() map[int]bool {
	found := make(map[int]bool)
	for pid := os.Getpid(); pid > 0 && !found[pid]; {
		found[pid] = true
		e, _ := r.Entry(pid)
		pid = e.Parent
	}
	return found
}

// Lineage is the process and those it descends from, without this process and
// what is above it.
func (r *Reader) Lineage(pid int) iter.Seq[int] {
	const most = 1000 // processes come and go meanwhile
	return func(yield func(int) bool) {
		self := os.Getpid()
		for n := 0; n < most && pid > 1 && pid != self && yield(pid); n++ {
			e, ok := r.Entry(pid)
			if !ok {
				return
			}
			pid = e.Parent
		}
	}
}
