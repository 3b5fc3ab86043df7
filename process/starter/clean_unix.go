//go:build unix

package starter

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Clean arranges that what children inherit from this process is what a
// freshly logged-in program would have.
func Clean() {
	// A core of the worker would hold its credentials, and children inherit
	// the limit; a command may still raise its own.
	var core unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &core) == nil {
		core.Cur = 0
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &core)
	}
	// An ignored signal stays ignored across exec, a caught one does not. So
	// what the worker was started to ignore, as by nohup, is caught and dropped.
	if ignored := ignoredSignals(); len(ignored) > 0 {
		signal.Notify(make(chan os.Signal, 1), ignored...)
	}
}

// closeLow sees to it that no child gets a low descriptor that the worker itself
// was started with; a shell or service manager hands over no others.
func closeLow() {
	for fd := uintptr(3); fd < 1024; fd++ {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err == nil {
			_, _ = unix.FcntlInt(fd, unix.F_SETFD, flags|unix.FD_CLOEXEC)
		}
	}
}
