package usage

import "fmt"

// Limits are what the processes of one command may use together at most; 0 is
// no limit.
type Limits struct {
	Memory    int64   // bytes
	Processes int     // at the same time; on Linux every thread counts
	CPUs      float64 // processors' worth of time
}

// Enforcement is how each limit is kept; "" is not at all.
type Enforcement struct{ Memory, Processes, CPUs string }

// Watched is the Enforcement of what is looked at ten times a second. More may be
// used meanwhile.
const Watched = "watching it ten times a second"

// Resource is what there was too little of.
type Resource string

// Resources of which a command can hit the limit.
const (
	MemoryLimit    Resource = "memory"
	ProcessesLimit Resource = "processes"
)

// Exceeded says that a command hit a limit and was ended.
type Exceeded struct {
	What Resource
	// Limit and Peak are bytes or processes. A Limit of 0 means that the
	// command was within its own, but memory ran out around it.
	Limit, Peak int64
	Killed      []string // "name (pid 12)", as far as is known
}

// Error names limit, use and who was killed.
func (e *Exceeded) Error() string {
	killed := ""
	if len(e.Killed) > 0 {
		killed = ", killed " + e.Killed[0]
	}
	if more := len(e.Killed) - 1; more > 0 {
		killed += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case e.What == ProcessesLimit:
		return fmt.Sprintf("process limit reached: limit %d, peak %d%s", e.Limit, e.Peak, killed)
	case e.Limit == 0:
		return fmt.Sprintf("out of memory: the machine had none left, peak %s%s", Bytes(e.Peak), killed)
	}
	return fmt.Sprintf("out of memory: limit %s, peak %s%s", Bytes(e.Limit), Bytes(e.Peak), killed)
}

// Immediate tells that what hit a limit is not asked to stop: it has nothing
// left to do that with.
func (e *Exceeded) Immediate() bool { return true }
