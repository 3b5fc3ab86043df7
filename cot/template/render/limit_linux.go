package render

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// limitProcess bounds the process once more, from outside of the Go runtime:
// for one allocation that is larger than all memory, and in case the parent
// dies. The address space cannot be bounded, as Go reserves far more of it than
// it uses.
func limitProcess(limits Limits) error {
	data := dataLimit(limits)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: data, Max: data}); err != nil {
		return fmt.Errorf("cannot bound the memory of rendering: %w", err)
	}
	cpu := cpuSeconds(limits)
	if err := unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: cpu, Max: cpu}); err != nil {
		return fmt.Errorf("cannot bound the time of rendering: %w", err)
	}
	return nil
}

// cpuSeconds is more than all cores together can use up before the deadline
// of a small machine, and little enough on a large one.
func cpuSeconds(limits Limits) uint64 {
	return uint64(4*limits.Time/time.Second) + 10
}
