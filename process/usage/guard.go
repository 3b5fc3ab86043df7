package usage

import (
	"cmp"
	"slices"
	"time"
)

// interval is how often the limits of a command are looked at.
const interval = 100 * time.Millisecond

// Guard finds out that a command has hit a limit.
type Guard struct {
	Limits Limits
	First  Process // of the command; it is named if nothing is known of others
	// What the system keeps and counts is not compared.
	CountsMemory, CountsProcesses bool
	// Victim, if set, is asked whom the system killed; it may not know: "".
	Victim func() string

	peak, most int64
	before     []Process
}

// Start looks at samples until the verdict is asked for, once, which is what
// was hit by then, if anything. Abort is called when it is.
func (g *Guard) Start(sample func() Sample, abort func(error)) (verdict func() *Exceeded) {
	if g.Limits.Memory == 0 && g.Limits.Processes == 0 {
		return func() *Exceeded { return nil }
	}
	stop, found := make(chan struct{}), make(chan *Exceeded, 1)
	go func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		var hit *Exceeded
		for running := true; running && hit == nil; {
			select {
			case <-ticker.C:
			case <-stop:
				running = false
			}
			if hit = g.Look(sample()); hit != nil {
				abort(hit)
			}
		}
		found <- hit
	}()
	return func() *Exceeded {
		close(stop)
		return <-found
	}
}

// Look compares a sample with the limits; it is nil if none was hit.
func (g *Guard) Look(s Sample) *Exceeded {
	before := g.before
	g.before = s.Each
	g.peak = max(g.peak, s.Memory, s.PeakMemory)
	g.most = max(g.most, int64(s.Processes), int64(s.Threads))
	memory := &Exceeded{What: MemoryLimit, Limit: g.Limits.Memory, Peak: g.peak}
	processes := &Exceeded{What: ProcessesLimit, Limit: int64(g.Limits.Processes), Peak: g.most, Killed: []string{g.First.String()}}
	switch {
	case s.OOMKills > 0:
		memory.Killed = []string{g.victim(lost(before, s.Each))}
		if s.OutOfMemory == 0 && g.peak < g.Limits.Memory/10*9 { // not every kernel counts in version 1
			memory.Limit = 0
		}
		return memory
	case s.ForksRefused > 0:
		processes.Peak = max(g.most, processes.Limit)
		return processes
	case !g.CountsMemory && g.Limits.Memory > 0 && s.Memory > g.Limits.Memory:
		memory.Killed = []string{g.largest(s.Each).String()}
		return memory
	case !g.CountsProcesses && g.Limits.Processes > 0 && max(s.Processes, s.Threads) > g.Limits.Processes:
		return processes
	}
	return nil
}

// victim is whom the system killed, as far as that can be known.
func (g *Guard) victim(lost []Process) string {
	if g.Victim != nil {
		if name := g.Victim(); name != "" {
			return name
		}
	}
	return g.largest(lost).String()
}

// lost are the processes that are not there any more.
func lost(before, now []Process) []Process {
	alive := map[int]bool{}
	for _, p := range now {
		alive[p.PID] = true
	}
	return slices.DeleteFunc(slices.Clone(before), func(p Process) bool { return alive[p.PID] })
}

// largest is the one with the most memory; the first process of all if there is none.
func (g *Guard) largest(among []Process) Process {
	if len(among) == 0 {
		return g.First
	}
	return slices.MaxFunc(among, func(a, b Process) int { return cmp.Compare(a.Memory, b.Memory) })
}
