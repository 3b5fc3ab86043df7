package starter

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Threads are where processes are started.
type Threads struct{ idle chan func() }

// New returns Threads, of which there are none so far.
func New() *Threads { return &Threads{make(chan func())} }

// Do runs f on a thread made for starting processes.
//
// These threads live as long as the worker: the parent-death signal is bound
// to the thread that forked, not to its process. And they have a umask and
// signal mask of their own, which children inherit, whatever the rest of the
// worker does with its. One hung exec occupies one thread; the next command
// gets another.
func (t *Threads) Do(f func() error) error {
	result := make(chan error, 1)
	job := func() { result <- Guarded(f) }
	select {
	case t.idle <- job:
	default:
		go t.run(job)
	}
	return <-result
}

// run runs job, then others.
func (t *Threads) run(job func()) {
	runtime.LockOSThread()          // and never unlock
	_ = unix.Unshare(unix.CLONE_FS) // where this is forbidden the umask is the whole worker's
	unix.Umask(0o022)
	var none unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil)
	for {
		job()
		job = <-t.idle
	}
}
