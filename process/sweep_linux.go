package process

import (
	"github.com/taskcluster/generic-worker/process/cgroup"
	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

// sweeper finds what earlier processes left under a marker.
type sweeper struct {
	marker string
	base   cgroup.Base
	spare  map[int]bool // this process and its ancestors
	table  table.Reader
}

func newSweeper(marker string) (*sweeper, error) {
	s := &sweeper{marker: marker, base: theHost().groups}
	s.spare = s.table.Ancestors()
	return s, nil
}

// groups are the cgroups made for the marker.
func (s *sweeper) groups() []cgroup.Group { return s.base.Named(family(s.marker)) }

func (s *sweeper) living() members {
	const looks = 20 // on a machine where processes come and go all the time
	for range looks {
		if alive, sure := s.look(); sure || len(alive) > 0 {
			return alive
		}
	}
	return nil
}

// look is sure unless a process ended before its environment was read. What
// that had started last may have been missed.
func (s *sweeper) look() (alive members, sure bool) {
	inside := make(map[int]bool)
	for _, g := range s.groups() {
		for pid := range g.PIDs() {
			inside[pid] = true
		}
	}
	entries := s.table.Read()
	ours := make(map[int]bool)
	sure = true
	for _, e := range entries {
		switch {
		case s.spare[e.PID] || e.Dead:
		case inside[e.PID] || table.Carries(e.PID, s.marker):
			ours[e.PID] = true
		default:
			now, ok := s.table.Entry(e.PID)
			sure = sure && ok && !now.Dead
		}
	}
	table.AddDescendants(ours, entries)
	for _, e := range entries {
		if !ours[e.PID] || s.spare[e.PID] || e.Dead || len(alive) == mostHandles {
			continue
		}
		// Start time and number are proof enough for what was found by descent.
		if m, ok := hold(&s.table, e, func(table.Entry) bool { return true }); ok {
			alive = append(alive, m)
		}
	}
	return alive, sure
}

func (s *sweeper) kill(alive members) {
	var resume []func()
	for _, g := range s.groups() {
		resume = append(resume, g.Kill())
	}
	for _, m := range alive {
		m.signal(unix.SIGKILL)
	}
	for _, f := range resume {
		f()
	}
}

// close removes the cgroups, which are empty by now.
func (s *sweeper) close() {
	for _, g := range append(s.groups(), theHost().place.Bounds(family(s.marker))...) {
		g.Remove()
	}
}
