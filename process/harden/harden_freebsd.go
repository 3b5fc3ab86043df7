package harden

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From sys/procctl.h. What is disabled so is enabled again by exec.
const (
	procTraceCtl        = 7
	procTraceCtlDisable = 2
)

func harden() error {
	id, how := uintptr(os.Getpid()), int32(procTraceCtlDisable)
	var errno syscall.Errno
	if unsafe.Sizeof(id) == 4 { // its number is 64 bits wide, so takes two words
		_, _, errno = unix.Syscall6(unix.SYS_PROCCTL, 0, id, 0, procTraceCtl, uintptr(unsafe.Pointer(&how)), 0)
	} else {
		_, _, errno = unix.Syscall6(unix.SYS_PROCCTL, 0, id, procTraceCtl, uintptr(unsafe.Pointer(&how)), 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}
