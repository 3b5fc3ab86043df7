//go:build darwin || freebsd

package process

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// host is what this process needs once to start commands.
type host struct{ adopts bool } // orphaned descendants become ours

// theHost prepares this process at the first command.
var theHost = sync.OnceValue(func() host {
	beClean()
	unix.Umask(0o022)
	closeLow()
	return host{adopts: adoptOrphans()}
})

func ignoredSignals() []os.Signal {
	var ignored []os.Signal
	for n := syscall.Signal(1); n < 32; n++ {
		if signal.Ignored(n) {
			ignored = append(ignored, n)
		}
	}
	return ignored
}

func openPipe() (r, w *os.File, err error) {
	fds := make([]int, 2)
	syscall.ForkLock.RLock() // no fork until they are close-on-exec
	err = unix.Pipe(fds)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("pipe", err)
	}
	return pipeFiles([2]int(fds))
}
