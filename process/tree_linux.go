package process

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/taskcluster/generic-worker/process/cgroup"
	"github.com/taskcluster/generic-worker/process/mark"
	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

// osTree is how the processes of a tree are told from others.
type osTree struct {
	self   int // this process
	group  cgroup.Group
	marker string
	mark   mark.Mark
	known  map[int]uint64 // start time by number of processes once found to belong
	table  table.Reader
	orphan unix.Rusage // of adopted processes that were reaped

	looking sync.Mutex // for table and known
	bounds  *cgroup.Bounds
	counted func(controller string) string // how it is had
	last    *cgroup.Usage                  // when all has ended

	began    time.Time // no later than the first process
	numbered bool      // the kernel tells the last process number
}

// mostNumbers is how many process numbers are tried one by one.
const mostNumbers = 256

// launch calls start on a starting thread, in a cgroup of its own if possible.
func (t *tree) launch(start func() error, c *Command, attr *os.ProcAttr, lim limits) error {
	h := theHost()
	n := h.count.Add(1)
	t.self, t.marker, t.known = os.Getpid(), c.Marker, make(map[int]uint64)
	attr.Sys.Pdeathsig = syscall.SIGKILL
	t.mark = h.marks.Next()
	t.group = h.makeGroup(lim.cgroups, c.Marker, n)
	if err := t.bind(h, c.Limits); err != nil {
		t.group.Remove()
		return err
	}
	t.began = time.Now()
	err := h.threads.Do(func() error {
		giveBack := h.standing.Lend(c.OOMScore)
		defer giveBack()
		end := h.marks.Begin(t.mark)
		err := t.startIn(attr.Sys, start)
		end()
		if err == nil {
			h.marks.Give(t.pid, t.mark)
			h.firsts.add(t)
			h.standing.Put(t.pid, c.OOMScore)
			t.numbered = t.table.LastPID() >= t.pid // some containers are told otherwise
		}
		return err
	})
	if err != nil {
		t.bounds.Remove()
		t.group.Remove()
	}
	return err
}

// family is the part of a cgroup's name by which Sweep finds it again.
func family(marker string) string {
	sum := sha256.Sum256([]byte(marker))
	return fmt.Sprintf("gw-%x-", sum[:8])
}

// makeGroup makes the cgroup of the nth command, of the kind that limits name.
func (h *host) makeGroup(kind, marker string, n uint64) cgroup.Group {
	base := h.groups
	switch kind {
	case "":
		return cgroup.Group{}
	case best:
	default:
		base = h.place.V1(kind)
	}
	return base.Make(fmt.Sprintf("%s%d-%d", family(marker), os.Getpid(), n))
}

// startIn starts in the tree's cgroup, or without if that is to blame.
func (t *tree) startIn(sys *syscall.SysProcAttr, start func() error) error {
	err := t.bounds.Start(t.group, sys, start)
	errno, ok := errors.AsType[syscall.Errno](err)
	if t.pid != 0 || t.bounds != nil || t.group == (cgroup.Group{}) || ok && slices.Contains([]syscall.Errno{syscall.ENOENT, syscall.ETXTBSY, syscall.ENOEXEC, syscall.E2BIG}, errno) {
		return err
	}
	if err = start(); err == nil {
		t.group.Remove()
		t.group = cgroup.Group{}
	}
	return err
}

// living returns the processes of the tree that are alive, the first among
// them, and reaps adopted ones that are not.
//
// All that descends from the command is found below it or, once its parent has
// ended, below this process: as a subreaper we adopt every orphan. An adopted
// process is known by what it cannot shed (session, cgroup, mark) or is unlikely
// to (marker); what it started in turn is found through it.
func (t *tree) living() members {
	t.looking.Lock()
	defer t.looking.Unlock()
	entries := t.entries()
	ours := t.find(entries)
	var alive members
	seen := false
	for _, e := range entries {
		switch {
		case !ours[e.PID]:
		case e.Dead:
			if e.Parent == t.self && e.PID != t.pid {
				t.reap(e)
			}
		case len(alive) < mostHandles:
			t.known[e.PID] = e.Start
			if m, ok := hold(&t.table, e, func(now table.Entry) bool { return t.stillOurs(now, ours) }); ok {
				alive = append(alive, m)
			}
		}
		seen = seen || e.PID == t.pid
	}
	if !seen && !t.over(false) { // no process table; but its number is its own until bury
		alive = append(alive, member{table.Entry{PID: t.pid, Group: t.pid}, -1})
	}
	return alive
}

// find returns the processes of the tree among entries.
func (t *tree) find(entries []table.Entry) (ours map[int]bool) {
	inside := t.group.PIDs()
	ours = map[int]bool{t.pid: true}
	for _, e := range entries {
		if e.PID != t.self && (inside[e.PID] || t.claims(e)) {
			ours[e.PID] = true
		}
	}
	table.AddDescendants(ours, entries)
	return ours
}

// entries are the processes among which the tree's are. They have numbers from
// the first process's on, unless numbers may have wrapped since: a command that
// ran so briefly that they cannot have is spared the search of the whole table,
// which would take longer than the command.
func (t *tree) entries() []table.Entry {
	const fork = 2 * time.Microsecond // no machine needs less for one
	wrap := time.Duration(theHost().pidMax/runtime.NumCPU()) * fork
	ahead := t.table.LastPID() - t.pid
	if t.numbered && time.Since(t.began) < wrap && ahead >= 0 && ahead < mostNumbers {
		return t.table.Since(t.pid)
	}
	return t.table.Read()
}

// claims tells whether a process belongs that is not known to descend from one
// that does.
func (t *tree) claims(e table.Entry) bool {
	if theHost().firsts.another(t, e) {
		return false
	}
	if e.Session == t.pid || e.Group == t.pid {
		return true
	}
	if start, ok := t.known[e.PID]; ok && start == e.Start {
		return true
	}
	if e.Parent != t.self || e.Session == theHost().session {
		return false
	}
	if m := theHost().marks.Of(e.PID); m != 0 {
		return m == t.mark
	}
	if e.Dead {
		return t.group.Contains(e.PID)
	}
	return table.Carries(e.PID, t.marker)
}

// stillOurs tells whether a process that was found to belong is the one its
// number now means: its start time is the same, which a stranger with the same
// number can share only within a clock tick, and it belongs still.
func (t *tree) stillOurs(e table.Entry, ours map[int]bool) bool {
	return t.group.Contains(e.PID) || ours[e.Parent] || t.claims(e)
}

// reap collects an adopted process that has ended. It is a child of ours that
// nobody else knows of, so its number is its own until then.
func (t *tree) reap(e table.Entry) {
	var used unix.Rusage
	if pid, err := unix.Wait4(e.PID, nil, unix.WNOHANG, &used); err != nil || pid != e.PID {
		return
	}
	add := func(to *unix.Timeval, more unix.Timeval) {
		*to = unix.NsecToTimeval(to.Nano() + more.Nano())
	}
	add(&t.orphan.Utime, used.Utime)
	add(&t.orphan.Stime, used.Stime)
	t.orphan.Maxrss = max(t.orphan.Maxrss, used.Maxrss)
}

// killGroup kills all in the cgroup, or makes them unable to fork until resume.
func (t *tree) killGroup() (resume func()) { return t.group.Kill() }

// measure completes res and removes the cgroup.
func (t *tree) measure(res *Result, main *syscall.Rusage) {
	res.User = time.Duration(main.Utime.Nano() + t.orphan.Utime.Nano())
	res.System = time.Duration(main.Stime.Nano() + t.orphan.Stime.Nano())
	// The kernel counts as the child's what it shared with the worker before
	// exec. A figure that may be the worker's own is none.
	var self unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &self) == nil && max(main.Maxrss, t.orphan.Maxrss) > self.Maxrss {
		res.PeakMemory = int64(max(main.Maxrss, t.orphan.Maxrss)) << 10
	}
	if t.last == nil {
		known := t.bounds.Usage(t.group)
		t.last = &known
	}
	whole := t.last
	res.User, res.System = max(res.User, whole.User), max(res.System, whole.System)
	if whole.PeakMemory > 0 {
		res.PeakMemory = whole.PeakMemory
	}
	t.bounds.Remove()
	t.group.Remove()
}

// forget is called before the first process is reaped.
func (t *tree) forget() { theHost().firsts.remove(t) }

// awaitExit waits for a child to end, without reaping it.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
