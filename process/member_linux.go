package process

import (
	"time"

	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

// member is a living process of a tree.
type member struct {
	table.Entry
	fd int // refers to this process whatever happens to its number; -1 if it has ended, or the kernel has none
}

type members []member

// mostHandles is how many processes are held at once; the next search finds
// the others.
const mostHandles = 256

// hold returns the process that entry described. It is looked at again through
// belongs once it is held, since its number may have been given to a stranger
// in between. One that has ended is returned too, without a handle: it was
// alive, so what it started last may have been missed. It is not ok if the
// entry was of a thread.
func hold(r *table.Reader, e table.Entry, belongs func(table.Entry) bool) (member, bool) {
	fd, err := unix.PidfdOpen(e.PID, 0)
	if err != nil {
		fd = -1
	}
	now, ok := r.Entry(e.PID)
	if ok && (err == unix.EINVAL || err == unix.ENOENT) {
		return member{}, false
	}
	if !ok || now.Dead || now.Start != e.Start || !belongs(now) {
		member{fd: fd}.release()
		return member{e, -1}, true
	}
	return member{now, fd}, true
}

// signal sends sig to exactly this process.
func (m member) signal(sig unix.Signal) {
	if m.fd >= 0 {
		_ = unix.PidfdSendSignal(m.fd, sig, nil, 0)
		return
	}
	// Before Linux 5.3 a moment is left in which the number may change hands.
	if now, ok := new(table.Reader).Entry(m.PID); ok && now.Start == m.Start {
		_ = unix.Kill(m.PID, sig)
	}
}

func (m member) release() {
	if m.fd >= 0 {
		_ = unix.Close(m.fd)
	}
}

func (ms members) close() {
	for _, m := range ms {
		m.release()
	}
}

// wait returns when all have ended, or at the deadline.
func (ms members) wait(deadline time.Time) {
	for _, m := range ms {
		for !m.gone(deadline) {
			if time.Now().After(deadline) {
				return
			}
		}
	}
}

// gone waits for the process to end; it may return early.
func (m member) gone(deadline time.Time) bool {
	left := time.Until(deadline)
	if m.fd < 0 {
		now, ok := new(table.Reader).Entry(m.PID)
		if !ok || now.Dead || now.Start != m.Start {
			return true
		}
		time.Sleep(min(left, rescan)) // nothing to wait on before Linux 5.3
		return false
	}
	fds := []unix.PollFd{{Fd: int32(m.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(max(left, 0)/time.Millisecond)+1)
	return err == nil && n > 0
}
