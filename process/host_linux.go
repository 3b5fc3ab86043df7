package process

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/taskcluster/generic-worker/process/cgroup"
	"github.com/taskcluster/generic-worker/process/mark"
	"github.com/taskcluster/generic-worker/process/starter"
	"golang.org/x/sys/unix"
)

// host is what this process needs once to start commands.
type host struct {
	threads  *starter.Threads
	place    cgroup.Hierarchies // where this process was before the first
	groups   cgroup.Base        // where cgroups are made
	count    atomic.Uint64      // of commands
	session  int                // this process's, in which no command is
	marks    *mark.Marker
	firsts   firsts
	pidMax   int // where process numbers wrap
	standing *starter.Place

	enforcers cgroup.Enforcers
}

// theHost prepares this process at the first command.
var theHost = sync.OnceValue(func() *host {
	starter.Clean()
	starter.CloseInherited()
	// Orphaned descendants become ours instead of init's, so that they can be
	// found below us and reaped.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	limit, _ := os.ReadFile("/proc/sys/kernel/pid_max")
	pidMax, _ := strconv.Atoi(strings.TrimSpace(string(limit)))
	place := cgroup.Find()
	session, _ := unix.Getsid(0)
	return &host{
		place:    place,
		threads:  starter.New(),
		groups:   place.Best(),
		pidMax:   pidMax,
		session:  session,
		marks:    mark.New(),
		firsts:   firsts{trees: make(map[int]*tree)},
		standing: starter.Own(),
	}
})
