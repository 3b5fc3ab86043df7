package process

import (
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/taskcluster/generic-worker/process/cgroup"
	"github.com/taskcluster/generic-worker/process/mark"
	"golang.org/x/sys/unix"
)

// host is what this process needs once to start commands.
type host struct {
	jobs    chan func()        // received by idle starting threads
	place   cgroup.Hierarchies // where this process was before the first
	groups  cgroup.Base        // where cgroups are made
	count   atomic.Uint64      // of commands
	session int                // this process's, in which no command is
	marks   *mark.Marker
	firsts  firsts
	pidMax  int  // where process numbers wrap
	spared  bool // the worker's OOM score is lowered; commands must not have that
}

// theHost prepares this process at the first command.
var theHost = sync.OnceValue(func() *host {
	beClean()
	closeInherited()
	// Orphaned descendants become ours instead of init's, so that they can be
	// found below us and reaped.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	score, _ := os.ReadFile("/proc/self/oom_score_adj")
	limit, _ := os.ReadFile("/proc/sys/kernel/pid_max")
	pidMax, _ := strconv.Atoi(strings.TrimSpace(string(limit)))
	place := cgroup.Find()
	session, _ := unix.Getsid(0)
	return &host{
		place:   place,
		jobs:    make(chan func()),
		groups:  place.Best(),
		pidMax:  pidMax,
		session: session,
		marks:   mark.New(),
		firsts:  firsts{trees: make(map[int]*tree)},
		spared:  strings.HasPrefix(string(score), "-"),
	}
})

// onStarter runs f on a thread made for starting processes.
//
// These threads live as long as the worker: the parent-death signal is bound
// to the thread that forked, not to its process. And they have a umask and
// signal mask of their own, which children inherit, whatever the rest of the
// worker does with its. One hung exec occupies one thread; the next command
// gets another.
func (h *host) onStarter(f func() error) error {
	result := make(chan error, 1)
	job := func() { result <- guarded(f) }
	select {
	case h.jobs <- job:
	default:
		go h.starter(job)
	}
	return <-result
}

// starter runs job, then others.
func (h *host) starter(job func()) {
	runtime.LockOSThread()          // and never unlock
	_ = unix.Unshare(unix.CLONE_FS) // where this is forbidden the umask is the whole worker's
	unix.Umask(0o022)
	var none unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil)
	for {
		job()
		job = <-h.jobs
	}
}

// closeInherited sees to it that no child gets a descriptor that the worker
// itself was started with; Go opens none that way.
func closeInherited() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) != nil {
		closeLow() // before Linux 5.11
	}
}

func ignoredSignals() []os.Signal {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "\nSigIgn:")
	line, _, _ := strings.Cut(after, "\n")
	mask, _ := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	var ignored []os.Signal
	for n := range 64 {
		if mask&(1<<n) != 0 {
			ignored = append(ignored, syscall.Signal(n+1))
		}
	}
	return ignored
}
