package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Limits are what the processes of a group may use together; 0 is no limit.
type Limits struct {
	Memory    int64   // bytes
	Processes int     // threads count
	CPUs      float64 // processors' worth of time
}

// wanted are the controllers that the limits need.
func (l Limits) wanted() []string {
	var names []string
	if l.Memory > 0 {
		names = append(names, "memory")
	}
	if l.Processes > 0 {
		names = append(names, "pids")
	}
	if l.CPUs > 0 {
		names = append(names, "cpu")
	}
	return names
}

// Enforcer keeps groups within limits.
type Enforcer struct {
	groups Base            // where the groups are that it is for
	v2     map[string]bool // its controllers
	v1     map[string]Base
}

// Enforcers are those made so far, by what they are for.
type Enforcers struct {
	mu   sync.Mutex
	made map[Limits]Enforcer
}

// For returns an enforcer for groups made at base, with every controller that
// the limits need and that can be had: of version 2 if the groups are of that
// and it can be enabled for them, else of version 1. The first call enables.
func (s *Enforcers) For(h Hierarchies, groups Base, l Limits) Enforcer {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.made[l]
	if !ok {
		e = h.enforcer(groups, l)
		if s.made == nil {
			s.made = make(map[Limits]Enforcer)
		}
		s.made[l] = e
	}
	return e
}

func (h Hierarchies) enforcer(groups Base, l Limits) Enforcer {
	e := Enforcer{groups: groups, v2: map[string]bool{}, v1: map[string]Base{}}
	if !groups.Usable() {
		return e
	}
	for _, name := range l.wanted() {
		if groups.controller == "" && groups.enable(name) == nil {
			e.v2[name] = true
		} else if base := h.V1(name); base.Usable() {
			e.v1[name] = base
		}
	}
	return e
}

// How is the version of the controller; "" if there is none.
func (e Enforcer) How(controller string) string {
	switch {
	case e.v2[controller]:
		return "control groups, version 2"
	case e.v1[controller].Usable():
		return "control groups, version 1"
	}
	return ""
}

// enable gives the groups made at b a controller of version 2. This process must
// not be at b itself then: the kernel refuses, or for cpu and pids, agrees and
// lets no process into a group below any more. (Only the root is free of that.)
func (b Base) enable(name string) error {
	const switches = "cgroup.subtree_control"
	has := func(file string) bool {
		text, _ := os.ReadFile(filepath.Join(b.dir, file))
		return slices.Contains(strings.Fields(string(text)), name)
	}
	if !has("cgroup.controllers") {
		return fmt.Errorf("cannot enable controller %s: %w", name, errors.ErrUnsupported)
	}
	if has(switches) {
		return nil
	}
	if err := b.leave(); err != nil {
		return err
	}
	return b.write(switches, "+"+name)
}

// own begins the names of groups that a process which hands on controllers has
// for itself.
const own = "gw-worker-"

// leave moves this process, if it is in the group and alone there, to one below.
func (b Base) leave() error {
	procs, err := os.ReadFile(filepath.Join(b.dir, "cgroup.procs"))
	_, noType := os.Stat(filepath.Join(b.dir, "cgroup.type"))
	if root := errors.Is(noType, fs.ErrNotExist); err == nil && (root || len(procs) == 0) {
		return nil
	}
	self := strconv.Itoa(os.Getpid())
	if err != nil {
		return fmt.Errorf("cannot leave cgroup %s: %w", b.dir, err)
	}
	if strings.TrimSpace(string(procs)) != self {
		return fmt.Errorf("cannot leave cgroup %s: others are in it", b.dir)
	}
	for _, left := range b.Named(own) {
		_ = left.busy() // and then stays
	}
	below := b.Make(own + self)
	if below.path == "" {
		return fmt.Errorf("cannot make a cgroup in %s", b.dir)
	}
	return below.write("cgroup.procs", self)
}

func (b Base) write(file, value string) error {
	return os.WriteFile(filepath.Join(b.dir, file), []byte(value), 0o644)
}

func (g Group) write(file, value string) error {
	return os.WriteFile(filepath.Join(g.path, file), []byte(value), 0o644)
}

// Bounds are the limits of one group. Those of version 1 are groups of their
// own, in which the group's processes also are. A nil Bounds limits nothing.
type Bounds struct {
	by    map[string]Group // by controller
	apart []Group          // those that are not the group itself
}

// Bind makes the limits of a group that is empty so far.
func (e Enforcer) Bind(g Group, l Limits) (*Bounds, error) {
	if l == (Limits{}) {
		return nil, nil
	}
	b := &Bounds{by: map[string]Group{}}
	for _, name := range l.wanted() {
		if err := e.bind(b, g, name, l); err != nil {
			b.Remove()
			return nil, fmt.Errorf("cannot limit %s: %w", name, err)
		}
	}
	return b, nil
}

func (e Enforcer) bind(b *Bounds, g Group, name string, l Limits) error {
	at := g
	switch {
	case g.path == "" || e.How(name) == "":
		return nil // who made the enforcer knows
	case e.v2[name] && g.base.controller == "", g.base.controller == name:
	default:
		at = e.v1[name].Make(filepath.Base(g.path))
		if at.path == "" {
			return errors.New("cannot make a cgroup")
		}
		b.apart = append(b.apart, at)
	}
	b.by[name] = at
	for _, s := range settings(name, at.base.controller == "", l) {
		if err := at.write(s.file, s.value); err != nil && !s.optional {
			return err
		}
	}
	return nil
}

// setting is what is written to a file of a group.
type setting struct {
	file, value string
	optional    bool // missing where swap is not accounted, or before some version
}

const period = 100_000 // µs over which processor time is counted

func settings(controller string, v2 bool, l Limits) []setting {
	memory := strconv.FormatInt(l.Memory, 10)
	quota := strconv.FormatInt(max(1000, int64(math.Round(l.CPUs*period))), 10)
	switch {
	case controller == "memory" && v2:
		return []setting{{"memory.max", memory, false}, {"memory.swap.max", "0", true}, {"memory.oom.group", "1", true}}
	case controller == "memory":
		return []setting{{"memory.limit_in_bytes", memory, false}, {"memory.memsw.limit_in_bytes", memory, true}, {"memory.swappiness", "0", true}}
	case controller == "pids":
		return []setting{{"pids.max", strconv.Itoa(l.Processes), false}}
	case v2:
		return []setting{{"cpu.max", fmt.Sprintf("%s %d", quota, period), false}}
	}
	return []setting{{"cpu.cfs_period_us", strconv.Itoa(period), false}, {"cpu.cfs_quota_us", quota, false}}
}

// Start is Group.Start for the group within its bounds.
func (b *Bounds) Start(g Group, sys *syscall.SysProcAttr, start func() error) error {
	inner := func() error { return g.Start(sys, start) }
	if b != nil {
		for _, own := range b.apart {
			within := inner
			inner = func() error { return own.Start(sys, within) }
		}
	}
	return inner()
}

// Bounds returns the limits that there are of groups with names that begin with
// prefix, as far as they are groups of their own.
func (h Hierarchies) Bounds(prefix string) []Group {
	var found []Group
	for _, name := range (Limits{Memory: 1, Processes: 1, CPUs: 1}).wanted() {
		found = append(found, Base{h[name], name}.Named(prefix)...)
	}
	return found
}

// Hits are how often limits were hit. Killed are all that were killed for want
// of memory, also where the limit is another's.
type Hits struct{ Memory, Killed, Processes int64 }

// Hits reads the counters of the system.
func (b *Bounds) Hits() Hits {
	var h Hits
	if b == nil {
		return h
	}
	if g := b.by["memory"]; g.path != "" && g.base.controller == "" {
		h.Memory, h.Killed = g.figure("memory.events", "max "), g.figure("memory.events", "oom_kill ")
	} else if g.path != "" {
		h.Memory = g.figure("memory.failcnt", "") + g.figure("memory.memsw.failcnt", "")
		h.Killed = g.figure("memory.oom_control", "oom_kill ")
	}
	if g := b.by["pids"]; g.path != "" {
		h.Processes = g.figure("pids.events", "max ")
	}
	return h
}

// Usage reads what the group uses, from it and its bounds.
func (b *Bounds) Usage(g Group) Usage {
	u := g.Usage()
	if b != nil {
		for _, bound := range b.apart {
			u = u.with(bound.Usage())
		}
	}
	return u
}

// Remove removes what is not the group itself, and must be empty.
func (b *Bounds) Remove() {
	if b != nil {
		for _, g := range b.apart {
			g.Remove()
		}
	}
}
