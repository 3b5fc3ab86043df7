package process

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
	"unsafe"

	"github.com/taskcluster/generic-worker/process/usage"
	"golang.org/x/sys/windows"
)

// killedExit is the exit code of what is killed.
const killedExit = 1

// tree is a command that was started, and all that descends from it: a job
// that no process can leave and that ends with the worker.
type tree struct {
	job, main windows.Handle
	pid       int
	name      string        // of the program
	ended     chan struct{} // closed when the first process has ended
	endedAt   time.Time     // set before that
	osLimits
}

// member is a living process of a tree, held by a handle.
type member struct {
	PID    int
	Name   string
	handle windows.Handle
}

type members []member

func newJob(l usage.Limits) (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, fmt.Errorf("cannot create job object: %w", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE |
		windows.JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION // no dialogue that waits for somebody
	limited(&limits, l)
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return 0, fmt.Errorf("cannot set up job object: %w", err)
	}
	return job, nil
}

// watch begins to wait for the end of the first process.
func (t *tree) watch() {
	t.ended = make(chan struct{})
	go func() {
		_, _ = windows.WaitForSingleObject(t.main, windows.INFINITE)
		t.endedAt = time.Now()
		close(t.ended)
	}()
}

// ask sends Ctrl-Break to the command's group. That needs a console in common,
// which a service has not.
func (t *tree) ask(members) bool {
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(t.pid)) == nil
}

func (t *tree) kill(members) { _ = windows.TerminateJobObject(t.job, killedExit) }

// processList is JOBOBJECT_BASIC_PROCESS_ID_LIST.
type processList struct {
	assigned, listed uint32
	ids              [1024]uintptr
}

// living returns the processes in the job.
func (t *tree) living() members {
	list := new(processList)
	err := windows.QueryInformationJobObject(t.job, windows.JobObjectBasicProcessIdList,
		uintptr(unsafe.Pointer(list)), uint32(unsafe.Sizeof(*list)), nil)
	if err != nil && !errors.Is(err, windows.ERROR_MORE_DATA) {
		return nil
	}
	var alive members
	for _, id := range list.ids[:min(int(list.listed), len(list.ids))] {
		const access = windows.SYNCHRONIZE | windows.PROCESS_QUERY_LIMITED_INFORMATION
		h, err := windows.OpenProcess(access, false, uint32(id))
		if err != nil {
			continue
		}
		if event, err := windows.WaitForSingleObject(h, 0); err == nil && event == windows.WAIT_OBJECT_0 {
			_ = windows.CloseHandle(h)
			continue
		}
		alive = append(alive, member{int(id), imageName(h), h})
	}
	return alive
}

func imageName(h windows.Handle) string {
	var buf [windows.MAX_PATH]uint16
	n := uint32(len(buf))
	if windows.QueryFullProcessImageName(h, 0, &buf[0], &n) != nil {
		return "?"
	}
	return filepath.Base(windows.UTF16ToString(buf[:n]))
}

func (ms members) close() {
	for _, m := range ms {
		_ = windows.CloseHandle(m.handle)
	}
}

// wait returns when all have ended, or at the deadline.
func (ms members) wait(deadline time.Time) {
	for _, m := range ms {
		left := max(0, time.Until(deadline))
		_, _ = windows.WaitForSingleObject(m.handle, uint32(left/time.Millisecond)+1)
	}
}

// accounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION; times are in units of
// 100 ns.
type accounting struct {
	user, kernel, periodUser, periodKernel int64
	faults, total, active, terminated      uint32
}

// bury completes res and lets the job go.
func (t *tree) bury(res *Result) {
	var code uint32
	if windows.GetExitCodeProcess(t.main, &code) == nil {
		res.ExitCode = int(code)
		if code >= 0xC0000000 { // an exception
			res.Signal = fmt.Sprintf("%#x", code)
		}
	}
	var used accounting
	if windows.QueryInformationJobObject(t.job, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&used)), uint32(unsafe.Sizeof(used)), nil) == nil {
		res.User, res.System = time.Duration(used.user)*100, time.Duration(used.kernel)*100
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	if windows.QueryInformationJobObject(t.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)), nil) == nil {
		res.PeakMemory = int64(limits.PeakJobMemoryUsed)
	}
	t.close()
}

// giveUp waits elsewhere for a first process that cannot be killed.
func (t *tree) giveUp() {
	go func() {
		<-t.ended
		t.close()
	}()
}

func (t *tree) close() {
	_ = windows.CloseHandle(t.job)
	_ = windows.CloseHandle(t.main)
	if t.port != 0 {
		_ = windows.CloseHandle(t.port)
	}
}
