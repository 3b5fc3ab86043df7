//go:build !linux

package usage

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/process"
)

// Of measures the processes with these numbers. Those that have ended do not
// count.
func Of(pids map[int]bool) Sample {
	var s Sample
	for pid := range pids {
		p := &process.Process{Pid: int32(pid)}
		used, err := p.MemoryInfo()
		if err != nil {
			continue
		}
		name, err := p.Name()
		if err != nil {
			name = "?"
		}
		s.Each = append(s.Each, Process{PID: pid, Name: name, Memory: int64(used.RSS)})
		s.Memory += int64(used.RSS)
		if times, err := p.Times(); err == nil {
			s.User += time.Duration(times.User * float64(time.Second))
			s.System += time.Duration(times.System * float64(time.Second))
		}
		if moved, err := p.IOCounters(); err == nil {
			s.Transfers = true
			s.Read += int64(moved.ReadBytes)
			s.Written += int64(moved.WriteBytes)
		}
	}
	s.Processes = len(s.Each)
	return s
}

// Transfers knows nothing of processes that have ended.
func Transfers(int) (read, written int64) { return 0, 0 }

// Machine reads the memory of the machine.
func Machine() (Memory, error) {
	m, err := mem.VirtualMemory()
	if err != nil {
		return Memory{}, fmt.Errorf("cannot measure the machine's memory: %w", err)
	}
	return Memory{Total: int64(m.Total), Available: int64(m.Available)}, nil
}
