package process

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const rssUnit = 1 << 10 // ru_maxrss is in kilobytes

// From sys/procctl.h; see procctl(2).
const (
	procReapAcquire   = 2
	procReapStatus    = 4
	procReapGetPids   = 5
	procReapKill      = 6
	reaperKillSubtree = 2
	reaperPidValid    = 1
)

type reaperStatus struct {
	flags, children, descendants uint32
	reaper, pid                  int32
	_                            [15]uint32
}

type reaperPid struct {
	pid, subtree int32
	flags        uint32
	_            [15]uint32
}

type reaperPids struct {
	count uint32
	_     [15]uint32
	pids  *reaperPid
}

type reaperKill struct {
	signal  int32
	flags   uint32
	subtree int32
	killed  uint32
	failed  int32
	_       [15]uint32
}

// procctl acts on this process.
func procctl(command uintptr, data unsafe.Pointer) error {
	id := uintptr(os.Getpid())
	var errno syscall.Errno
	if unsafe.Sizeof(id) == 4 { // its number is 64 bits wide, so takes two words
		_, _, errno = unix.Syscall6(unix.SYS_PROCCTL, 0, id, 0, command, uintptr(data), 0)
	} else {
		_, _, errno = unix.Syscall6(unix.SYS_PROCCTL, 0, id, command, uintptr(data), 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// adoptOrphans makes orphaned descendants ours instead of init's. From then on
// the kernel remembers which child of ours each descends from.
func adoptOrphans() bool { return procctl(procReapAcquire, nil) == nil }

// dieWithParent is sound in Go here: the signal is bound to the process.
func dieWithParent(sys *syscall.SysProcAttr) { sys.Pdeathsig = syscall.SIGKILL }

// adopted are the processes that descend from the command, dead ones too.
func (t *tree) adopted() map[int]bool {
	var status reaperStatus
	if !theHost().adopts || procctl(procReapStatus, unsafe.Pointer(&status)) != nil {
		return nil
	}
	list := make([]reaperPid, status.descendants+64)
	ask := reaperPids{count: uint32(len(list)), pids: &list[0]}
	err := procctl(procReapGetPids, unsafe.Pointer(&ask))
	runtime.KeepAlive(list)
	if err != nil {
		return nil
	}
	found := make(map[int]bool)
	for _, p := range list {
		if p.flags&reaperPidValid != 0 && int(p.subtree) == t.pid {
			found[int(p.pid)] = true
		}
	}
	return found
}

// killGroup kills all that descends from the command.
func (t *tree) killGroup() (resume func()) {
	if theHost().adopts {
		ask := reaperKill{signal: int32(unix.SIGKILL), flags: reaperKillSubtree, subtree: int32(t.pid)}
		_ = procctl(procReapKill, unsafe.Pointer(&ask))
	}
	return func() {}
}
