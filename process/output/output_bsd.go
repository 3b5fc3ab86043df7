//go:build darwin || freebsd

package output

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

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
