package process

import (
	"cmp"
	"errors"

	"github.com/taskcluster/generic-worker/process/cgroup"
	"github.com/taskcluster/generic-worker/process/usage"
)

// bind limits what the tree may use, in its cgroup.
func (t *tree) bind(h *host, l usage.Limits) error {
	if l == (usage.Limits{}) {
		return nil
	}
	e := h.enforcers.For(h.place, h.groups, cgroup.Limits(l))
	t.counted = e.How
	if l.CPUs > 0 && (e.How("cpu") == "" || t.group == (cgroup.Group{})) {
		return errors.New("cannot limit its processors: there is no control group with the controller cpu")
	}
	var err error
	t.bounds, err = e.Bind(t.group, cgroup.Limits(l))
	return err
}

// arm tells a guard which limits the system keeps.
func (t *tree) arm(g *usage.Guard) {
	if t.bounds != nil && t.group != (cgroup.Group{}) {
		g.CountsMemory, g.CountsProcesses = t.counted("memory") != "", t.counted("pids") != ""
		g.Victim = t.bounds.Victim
	}
}

// Enforce tells how limits are kept here. It enables what that takes.
func Enforce(l usage.Limits) usage.Enforcement {
	h := theHost()
	e := h.enforcers.For(h.place, h.groups, cgroup.Limits(l))
	return usage.Enforcement{
		Memory:    cmp.Or(e.How("memory"), usage.Watched),
		Processes: cmp.Or(e.How("pids"), usage.Watched),
		CPUs:      e.How("cpu"),
	}
}

// sample is what the tree uses now.
func (t *tree) sample() usage.Sample {
	pids := t.group.PIDs()
	if t.group == (cgroup.Group{}) {
		t.looking.Lock()
		pids = t.find(t.table.Read())
		t.looking.Unlock()
	}
	return t.figured(usage.Of(pids), t.bounds.Usage(t.group))
}

// total is what it used, before its first process is reaped.
func (t *tree) total() usage.Sample {
	var s usage.Sample
	s.Transfers = true
	s.Read, s.Written = usage.Transfers(t.pid)
	known := t.bounds.Usage(t.group)
	t.last = &known // measure needs the same
	return t.figured(s, known)
}

// figured replaces figures of s that the cgroup knows better.
func (t *tree) figured(s usage.Sample, known cgroup.Usage) usage.Sample {
	hits := t.bounds.Hits()
	s.Memory, s.PeakMemory = cmp.Or(known.Memory, s.Memory), known.PeakMemory
	s.User, s.System = max(known.User, s.User), max(known.System, s.System)
	s.Read, s.Written = max(known.Read, s.Read), max(known.Written, s.Written)
	s.OutOfMemory, s.OOMKills, s.ForksRefused = hits.Memory, hits.Killed, hits.Processes
	return s
}
