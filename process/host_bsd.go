//go:build darwin || freebsd

package process

import (
	"sync"

	"github.com/taskcluster/generic-worker/process/starter"
	"golang.org/x/sys/unix"
)

// host is what this process needs once to start commands.
type host struct{ adopts bool } // orphaned descendants become ours

// theHost prepares this process at the first command.
var theHost = sync.OnceValue(func() host {
	starter.Clean()
	unix.Umask(0o022)
	starter.CloseInherited()
	return host{adopts: adoptOrphans()}
})
