package usage

import (
	"fmt"
	"time"
)

// Sample is what the processes of one command use. A figure that is not known
// is 0.
type Sample struct {
	Wall time.Duration // since the start, once the command has ended
	// Memory is what they hold now, in bytes. Without a control group it is
	// the private memory of all, and the largest shared part once.
	Memory     int64
	PeakMemory int64 // largest Memory that the system noted; 0 where it notes none
	User       time.Duration
	System     time.Duration
	Read       int64 // bytes from storage
	Written    int64 // bytes to storage
	Transfers  bool  // the two are known
	Processes  int
	Threads    int
	Each       []Process // those that are alive

	OutOfMemory  int64 // how often the memory limit was hit
	OOMKills     int64 // how many were killed for want of memory, whoever's
	ForksRefused int64 // how often the limit of processes was hit
}

// Process is one of the processes of a Sample.
type Process struct {
	PID    int
	Name   string
	Memory int64 // bytes
}

// String returns "name (pid 12)".
func (p Process) String() string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }

// Memory is the memory of the whole machine, in bytes.
type Memory struct{ Total, Available int64 }

// Used is what is not available.
func (m Memory) Used() int64 { return m.Total - m.Available }

// Bytes shows a number of bytes with two decimals, in KiB, MiB or GiB.
func Bytes(n int64) string {
	value, unit := float64(n)/(1<<10), "KiB"
	for _, next := range []string{"MiB", "GiB"} {
		if value < 1<<10 {
			break
		}
		value, unit = value/(1<<10), next
	}
	return fmt.Sprintf("%.2f %s", value, unit)
}
