package resourcemonitor

import (
	"os"
	"time"

	"github.com/taskcluster/generic-worker/process/usage"
)

// series is what was seen of one command.
type series struct {
	command int
	began   time.Time
	last    time.Time // when it was looked at
	samples int
	weight  time.Duration // for which memory was looked at
	area    float64       // bytes times nanoseconds
	peak    int64
	most    int // processes
	final   usage.Sample
	machine machine

	disk int64 // 0 if it was not looked at
	cut  bool  // a walk was given up
}

func newSeries(command int) *series {
	now := time.Now()
	return &series{command: command, began: now, last: now}
}

// add counts each figure for the time since the one before.
func (s *series) add(now usage.Sample) {
	at := time.Now()
	passed := at.Sub(s.last)
	s.last = at
	s.samples++
	s.weight += passed
	s.area += float64(now.Memory) * float64(passed)
	s.peak = max(s.peak, now.Memory, now.PeakMemory)
	s.most = max(s.most, now.Processes)
}

// end takes what is known when the command has ended.
func (s *series) end(final usage.Sample) {
	if final.Wall == 0 { // it is about to be ended
		final.Wall = time.Since(s.began)
	}
	s.final = final
	s.peak = max(s.peak, final.Memory, final.PeakMemory)
}

// walks are those through the task's directory, whichever command runs.
type walks struct {
	root *os.Root
	last time.Time // when it ended
	took time.Duration
}

// take measures the directory, unless it was not long ago by what that takes.
func (w *walks) take(s *series, limit time.Duration) {
	began := time.Now()
	if !w.last.IsZero() && began.Sub(w.last) < walkShare*w.took {
		return
	}
	bytes, whole := usage.Disk(w.root, limit)
	w.last = time.Now()
	w.took = w.last.Sub(began)
	s.disk = max(s.disk, bytes)
	s.cut = s.cut || !whole
}

// machine is what was seen of the machine's memory.
type machine struct {
	looks           int64
	total, peak     int64 // bytes
	available, used int64 // sums
}

func (m *machine) add(now usage.Memory) {
	m.looks++
	m.total = now.Total
	m.available += now.Available
	m.used += now.Used()
	m.peak = max(m.peak, now.Used())
}
