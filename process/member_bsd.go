//go:build darwin || freebsd

package process

import (
	"time"

	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

// member is a living process of a tree. There is no handle on a process here;
// before each use its number and start time are compared anew.
type member struct{ table.Entry }

type members []member

func (m member) signal(sig unix.Signal) {
	if now, ok := new(table.Reader).Entry(m.PID); ok && now.Start == m.Start {
		_ = unix.Kill(m.PID, sig)
	}
}

func (ms members) close() {}

// wait returns when all have ended, or at the deadline.
func (ms members) wait(deadline time.Time) {
	for _, m := range ms {
		if now, ok := new(table.Reader).Entry(m.PID); ok && now.Start == m.Start {
			awaitUntil(m.PID, deadline)
		}
	}
}

// awaitExit waits for a child to end, without reaping it.
func awaitExit(pid int) { awaitUntil(pid, time.Time{}) }

// awaitUntil waits for a process to end; a zero deadline is none.
func awaitUntil(pid int, deadline time.Time) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(queue)
	unix.CloseOnExec(queue)
	var exit unix.Kevent_t
	unix.SetKevent(&exit, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	exit.Fflags = unix.NOTE_EXIT
	events := make([]unix.Kevent_t, 1)
	for changes := []unix.Kevent_t{exit}; ; changes = nil {
		var limit *unix.Timespec
		if !deadline.IsZero() {
			ts := unix.NsecToTimespec(max(0, time.Until(deadline).Nanoseconds()))
			limit = &ts
		}
		// An error but EINTR says that there is no such process any more.
		if _, err := unix.Kevent(queue, changes, events, limit); err != unix.EINTR {
			return
		}
	}
}
