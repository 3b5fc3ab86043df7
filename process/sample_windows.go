package process

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/taskcluster/generic-worker/process/usage"
	"golang.org/x/sys/windows"
)

// What a job reports at its completion port, see
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_associate_completion_port
const (
	activeProcessLimit = 3
	jobMemoryLimit     = 10
)

// Flags of cpuRate: https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_cpu_rate_control_information
const (
	rateEnabled = 1
	rateHardCap = 4
)

// cpuRate is JOBOBJECT_CPU_RATE_CONTROL_INFORMATION; rate is in 1/10000 of all
// processors.
type cpuRate struct{ flags, rate uint32 }

// portOf is JOBOBJECT_ASSOCIATE_COMPLETION_PORT.
type portOf struct {
	key  uintptr
	port windows.Handle
}

// osLimits are what a job's limits need.
type osLimits struct {
	port windows.Handle // where the job reports limits that were hit; 0 if it has none
	mu   sync.Mutex
	hits [2]int64 // of memory and processes
}

// limited adds the limits that are in the job's extended information.
func limited(info *windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION, l usage.Limits) {
	if l.Memory > 0 {
		info.BasicLimitInformation.LimitFlags |= windows.JOB_OBJECT_LIMIT_JOB_MEMORY
		info.JobMemoryLimit = uintptr(min(uint64(l.Memory), uint64(math.MaxUint)))
	}
	if l.Processes > 0 {
		info.BasicLimitInformation.LimitFlags |= windows.JOB_OBJECT_LIMIT_ACTIVE_PROCESS
		info.BasicLimitInformation.ActiveProcessLimit = uint32(min(int64(l.Processes), math.MaxUint32))
	}
}

// limit sets what else limits need, before anything is in the job.
func (t *tree) limit(l usage.Limits) error {
	if l.CPUs > 0 {
		share := l.CPUs / float64(runtime.NumCPU())
		rate := cpuRate{rateEnabled | rateHardCap, uint32(max(1, min(10000, math.Round(share*10000))))}
		if _, err := windows.SetInformationJobObject(t.job, windows.JobObjectCpuRateControlInformation,
			uintptr(unsafe.Pointer(&rate)), uint32(unsafe.Sizeof(rate))); err != nil {
			return fmt.Errorf("cannot limit processor time: %w", err)
		}
	}
	if l.Memory == 0 && l.Processes == 0 {
		return nil
	}
	port, err := windows.CreateIoCompletionPort(windows.InvalidHandle, 0, 0, 1)
	if err != nil {
		return fmt.Errorf("cannot create completion port: %w", err)
	}
	t.port = port
	to := portOf{key: 1, port: port}
	if _, err := windows.SetInformationJobObject(t.job, windows.JobObjectAssociateCompletionPortInformation,
		uintptr(unsafe.Pointer(&to)), uint32(unsafe.Sizeof(to))); err != nil {
		return fmt.Errorf("cannot hear of a job's limits: %w", err)
	}
	return nil
}

// hear counts the limits that were reported as hit since the last time.
func (t *tree) hear() (memory, processes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.port != 0 {
		var message uint32
		var key uintptr
		var process *windows.Overlapped // a number
		if windows.GetQueuedCompletionStatus(t.port, &message, &key, &process, 0) != nil {
			break
		}
		switch message {
		case jobMemoryLimit:
			t.hits[0]++
		case activeProcessLimit:
			t.hits[1]++
		}
	}
	return t.hits[0], t.hits[1]
}

// arm tells a guard that the job keeps both limits.
func (t *tree) arm(g *usage.Guard) { g.CountsMemory, g.CountsProcesses = true, true }

// Enforce tells how limits are kept here.
func Enforce(usage.Limits) usage.Enforcement {
	const job = "job objects"
	return usage.Enforcement{Memory: job, Processes: job, CPUs: job}
}

// sample is what the tree uses now.
func (t *tree) sample() usage.Sample {
	pids := make(map[int]bool)
	alive := t.living()
	for _, m := range alive {
		pids[m.PID] = true
	}
	alive.close()
	s := usage.Of(pids)
	return t.figures(s)
}

// total is what it used.
func (t *tree) total() usage.Sample { return t.figures(usage.Sample{}) }

// figures replaces those of s that the job knows better.
func (t *tree) figures(s usage.Sample) usage.Sample {
	var used struct {
		accounting
		transfers windows.IO_COUNTERS
	}
	if windows.QueryInformationJobObject(t.job, windows.JobObjectBasicAndIoAccountingInformation,
		uintptr(unsafe.Pointer(&used)), uint32(unsafe.Sizeof(used)), nil) == nil {
		s.User, s.System = time.Duration(used.user)*100, time.Duration(used.kernel)*100
		s.Transfers = true
		s.Read, s.Written = int64(used.transfers.ReadTransferCount), int64(used.transfers.WriteTransferCount)
	}
	s.OutOfMemory, s.ForksRefused = t.hear()
	s.OOMKills = s.OutOfMemory
	return s
}
