package task

import (
	"fmt"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

// Start is a run that was claimed, for who watches the worker.
type Start struct {
	TaskID  string
	RunID   int
	Created time.Time // when the task was, by the queue's clock
	Claimed time.Time // when the worker got the run, by its own clock
}

// Summary is what became of a run, for who started the worker to show.
type Summary struct {
	TaskID     string
	RunID      int
	Claimed    time.Time // when the worker got the run, by its own clock
	Resolution Resolution
	Err        error // the error that decided, or nil
	Reported   bool  // the queue accepted the resolution
	Phases     Phases
	Artifacts  []artifact.Record
}

// Phase is one part of a run's time.
type Phase struct {
	Name    string
	Part    bool // of the last phase before it that is none
	Start   time.Time
	Elapsed time.Duration // 0 as long as it lasts
}

// Phases are the parts of a run's time in the order in which they began.
type Phases []Phase

// Begin starts a phase, or a part of the one that lasts, until end is called.
func (p *Phases) Begin(name string, part bool) (end func()) {
	i := len(*p)
	*p = append(*p, Phase{Name: name, Part: part, Start: time.Now()})
	return func() { (*p)[i].Elapsed = max(time.Since((*p)[i].Start), 1) } // not every clock sees each nanosecond
}

// noticeable is how long a part must take to be worth a word in a log.
const noticeable = time.Millisecond

// String is one line: every phase that has ended with the time it took, and in
// brackets those of its parts that took long enough to notice.
func (p Phases) String() string {
	var text strings.Builder
	open := false
	for _, phase := range p {
		separator := ", "
		switch {
		case phase.Elapsed == 0, phase.Part && phase.Elapsed < noticeable:
			continue
		case phase.Part && !open:
			separator, open = " (", true
		case !phase.Part && open:
			separator, open = "), ", false
		}
		if text.Len() > 0 {
			text.WriteString(separator)
		}
		fmt.Fprintf(&text, "%s %v", phase.Name, rounded(phase.Elapsed))
	}
	if open {
		text.WriteString(")")
	}
	return text.String()
}

// rounded leaves of a duration what a reader can use.
func rounded(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
