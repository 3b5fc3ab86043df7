package resourcemonitor

import (
	"cmp"
	"math"
	"strconv"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/process/usage"
)

// report is the artifact.
type report struct {
	Version  int           `json:"version"` // of this format: 1
	Commands []measurement `json:"commands"`
	Total    measurement   `json:"total"`
}

// measurement is what one command used, or all of them. What is not known is
// left out.
type measurement struct {
	Command       *int     `json:"command,omitempty"` // counted from 0; not in the total
	WallSeconds   float64  `json:"wallSeconds"`
	UserSeconds   float64  `json:"userSeconds"`
	SystemSeconds float64  `json:"systemSeconds"`
	PeakMemory    int64    `json:"peakMemoryBytes,omitempty"`
	AverageMemory int64    `json:"averageMemoryBytes,omitempty"`
	Read          *int64   `json:"readBytes,omitempty"`
	Written       *int64   `json:"writtenBytes,omitempty"`
	PeakProcesses int      `json:"peakProcesses,omitempty"`
	Disk          int64    `json:"diskBytes,omitempty"`     // largest use of the task's directory that was seen
	DiskIsLeast   bool     `json:"diskIsAtLeast,omitempty"` // a walk through it was given up
	Samples       int      `json:"samples"`                 // taken while it ran
	System        *overall `json:"systemMemory,omitempty"`  // of the whole machine
	weight        time.Duration
	area          float64
	machine       machine
}

// overall is the machine's memory meanwhile, in bytes.
type overall struct {
	Total            int64 `json:"totalBytes"`
	AverageAvailable int64 `json:"averageAvailableBytes"`
	AverageUsed      int64 `json:"averageUsedBytes"`
	PeakUsed         int64 `json:"peakUsedBytes"`
}

func (s *series) measurement() measurement {
	m := measurement{
		Command:     &s.command,
		WallSeconds: seconds(s.final.Wall), UserSeconds: seconds(s.final.User), SystemSeconds: seconds(s.final.System),
		PeakMemory: s.peak, PeakProcesses: s.most, Disk: s.disk, DiskIsLeast: s.cut, Samples: s.samples,
		weight: s.weight, area: s.area, machine: s.machine,
	}
	if s.final.Transfers {
		m.Read, m.Written = &s.final.Read, &s.final.Written
	}
	m.average()
	return m
}

// seconds leaves no more digits than are known.
func seconds(d time.Duration) float64 { return round(d.Seconds()) }

func round(seconds float64) float64 { return math.Round(seconds*1e6) / 1e6 }

// average divides the sums.
func (m *measurement) average() {
	if m.weight > 0 {
		m.AverageMemory = min(int64(m.area/float64(m.weight)), m.PeakMemory)
	}
	if n := m.machine.looks; n > 0 {
		m.System = &overall{m.machine.total, m.machine.available / n, m.machine.used / n, m.machine.peak}
	}
}

func newReport(commands []measurement) report {
	total := measurement{}
	for _, c := range commands {
		total.WallSeconds += c.WallSeconds
		total.UserSeconds += c.UserSeconds
		total.SystemSeconds += c.SystemSeconds
		total.PeakMemory = max(total.PeakMemory, c.PeakMemory)
		total.PeakProcesses = max(total.PeakProcesses, c.PeakProcesses)
		total.Disk, total.DiskIsLeast = max(total.Disk, c.Disk), total.DiskIsLeast || c.DiskIsLeast
		total.Samples += c.Samples
		total.Read, total.Written = plus(total.Read, c.Read), plus(total.Written, c.Written)
		total.weight += c.weight
		total.area += c.area
		total.machine.looks += c.machine.looks
		total.machine.total = max(total.machine.total, c.machine.total)
		total.machine.available += c.machine.available
		total.machine.used += c.machine.used
		total.machine.peak = max(total.machine.peak, c.machine.peak)
	}
	total.WallSeconds, total.UserSeconds, total.SystemSeconds = round(total.WallSeconds), round(total.UserSeconds), round(total.SystemSeconds)
	total.average()
	return report{Version: 1, Commands: append([]measurement{}, commands...), Total: total}
}

// plus adds what is known.
func plus(a, b *int64) *int64 {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	sum := *a + *b
	return &sum
}

// rows are the lines of the log. The last four are those of other workers.
func (m measurement) rows() []features.Figure {
	var rows []features.Figure
	add := func(label, value string) { rows = append(rows, features.Figure{Label: label, Value: value}) }
	bytes := func(label string, n int64) {
		if n > 0 {
			add(label, usage.Bytes(n))
		}
	}
	bytes("Peak Memory", m.PeakMemory)
	bytes("Average Memory", m.AverageMemory)
	if m.Read != nil {
		add("Read from Storage", usage.Bytes(*m.Read))
		add("Written to Storage", usage.Bytes(*m.Written))
	}
	if m.PeakProcesses > 0 {
		add("Most Processes", strconv.Itoa(m.PeakProcesses))
	}
	least := ""
	if m.DiskIsLeast {
		least = "at least "
	}
	if m.Disk > 0 || m.DiskIsLeast {
		add("Largest Task Directory", least+usage.Bytes(m.Disk))
	}
	if s := m.System; s != nil {
		bytes("Average Available System Memory", s.AverageAvailable)
		bytes("Average System Memory Used", s.AverageUsed)
		bytes("Peak System Memory Used", s.PeakUsed)
		bytes("Total System Memory", s.Total)
	}
	return rows
}
