package harden

import (
	"os"

	"golang.org/x/sys/unix"
)

// harden refuses debuggers. The system ends a process that does so while it
// has one, which is then left to it.
func harden() error {
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return err
	}
	core.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return err
	}
	const traced = 0x800 // P_TRACED of sys/proc.h
	me, err := unix.SysctlKinfoProc("kern.proc.pid", os.Getpid())
	if err != nil {
		return err
	}
	if me.Proc.P_flag&traced != 0 {
		return nil
	}
	return unix.PtraceDenyAttach()
}
