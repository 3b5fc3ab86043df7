//go:build darwin || freebsd

package process

import (
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/taskcluster/generic-worker/process/starter"
	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

// osTree is how the processes of a tree are told from others.
type osTree struct {
	looking sync.Mutex // for table and known
	table   table.Reader
	marker  string
	known   map[int]uint64 // start time by number of processes once found to belong
	orphan  unix.Rusage    // of adopted processes that were reaped
}

func (t *tree) launch(start func() error, c *Command, attr *os.ProcAttr, _ limits) error {
	theHost()
	t.marker, t.known = c.Marker, make(map[int]uint64)
	dieWithParent(attr.Sys)
	return starter.Guarded(start)
}

// living returns the processes of the tree that are alive, the first among
// them, and reaps adopted ones that are not.
func (t *tree) living() members {
	t.looking.Lock()
	defer t.looking.Unlock()
	entries := t.table.Read()
	ours, self := t.find(entries), os.Getpid()
	var alive members
	seen := false
	for _, e := range entries {
		switch {
		case !ours[e.PID]:
		case !e.Dead:
			t.known[e.PID] = e.Start
			alive = append(alive, member{e})
		case e.Parent == self && e.PID != t.pid:
			t.reap(e)
		}
		seen = seen || e.PID == t.pid
	}
	if !seen && !t.over(false) { // no process table; but its number is its own until bury
		alive = append(alive, member{table.Entry{PID: t.pid, Group: t.pid}})
	}
	return alive
}

// find returns the processes of the tree among entries.
func (t *tree) find(entries []table.Entry) (ours map[int]bool) {
	below := t.adopted()
	ours = map[int]bool{t.pid: true}
	self := os.Getpid()
	for _, e := range entries {
		if e.PID != self && (below[e.PID] || t.claims(e)) {
			ours[e.PID] = true
		}
	}
	table.AddDescendants(ours, entries)
	return ours
}

// claims tells whether a process belongs that is not known to descend from one
// that does.
func (t *tree) claims(e table.Entry) bool {
	if e.Session == t.pid || e.Group == t.pid {
		return true
	}
	if start, ok := t.known[e.PID]; ok && start == e.Start {
		return true
	}
	return e.Parent == 1 && table.Carries(e.PID, t.marker)
}

// reap collects an adopted process that has ended.
func (t *tree) reap(e table.Entry) {
	var used unix.Rusage
	if pid, err := unix.Wait4(e.PID, nil, unix.WNOHANG, &used); err != nil || pid != e.PID {
		return
	}
	t.orphan.Utime = unix.NsecToTimeval(t.orphan.Utime.Nano() + used.Utime.Nano())
	t.orphan.Stime = unix.NsecToTimeval(t.orphan.Stime.Nano() + used.Stime.Nano())
	t.orphan.Maxrss = max(t.orphan.Maxrss, used.Maxrss)
}

// forget does nothing: a tree claims no child of this process but its own.
func (t *tree) forget() {}

// measure completes res.
func (t *tree) measure(res *Result, main *syscall.Rusage) {
	res.User = time.Duration(main.Utime.Nano() + t.orphan.Utime.Nano())
	res.System = time.Duration(main.Stime.Nano() + t.orphan.Stime.Nano())
	res.PeakMemory = max(int64(main.Maxrss), int64(t.orphan.Maxrss)) * rssUnit
}

// sweeper finds what earlier processes left under a marker.
type sweeper struct {
	table  table.Reader
	marker string
	spare  map[int]bool // this process and its ancestors
}

func newSweeper(marker string) (*sweeper, error) {
	s := &sweeper{marker: marker}
	s.spare = s.table.Ancestors()
	return s, nil
}

func (s *sweeper) living() members {
	entries := s.table.Read()
	ours := make(map[int]bool)
	for _, e := range entries {
		if !s.spare[e.PID] && table.Carries(e.PID, s.marker) {
			ours[e.PID] = true
		}
	}
	table.AddDescendants(ours, entries)
	var alive members
	for _, e := range entries {
		if ours[e.PID] && !s.spare[e.PID] && !e.Dead {
			alive = append(alive, member{e})
		}
	}
	return alive
}

func (s *sweeper) kill(alive members) {
	for _, m := range alive {
		m.signal(unix.SIGKILL)
	}
}

func (s *sweeper) close() {}
