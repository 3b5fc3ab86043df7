package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBindVersion2 writes limits into a directory that looks like a hierarchy
// of version 2: not every machine has one with controllers.
func TestBindVersion2(t *testing.T) {
	t.Parallel()
	base := Base{dir: t.TempDir()}
	write(t, filepath.Join(base.dir, "cgroup.controllers"), "cpuset cpu io memory pids\n")
	write(t, filepath.Join(base.dir, "cgroup.subtree_control"), "cpu memory pids\n")
	limits := Limits{Memory: 64 << 20, Processes: 200, CPUs: 1.5}
	e := new(Enforcers).For(nil, base, limits)
	for _, name := range limits.wanted() {
		if got := e.How(name); got != "control groups, version 2" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	g := base.Make("gw-test-1")
	bounds, err := e.Bind(g, limits)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "200", "cpu.max": "150000 100000",
	}
	if diff := cmp.Diff(want, files(t, g.path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	write(t, filepath.Join(g.path, "memory.events"), "low 0\nhigh 0\nmax 12\noom 2\noom_kill 3\noom_group_kill 1\n")
	write(t, filepath.Join(g.path, "pids.events"), "max 4\n")
	if got, want := bounds.Hits(), (Hits{Memory: 12, Killed: 3, Processes: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	write(t, filepath.Join(g.path, "cpu.stat"), "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\n")
	write(t, filepath.Join(g.path, "memory.current"), "4096\n")
	write(t, filepath.Join(g.path, "memory.peak"), "8192\n")
	write(t, filepath.Join(g.path, "io.stat"), "8:0 rbytes=1 wbytes=20 rios=5 wios=5\n8:16 rbytes=300 wbytes=4000 rios=5 wios=5\n")
	if got, want := bounds.Usage(g), (Usage{User: 2e9, System: 1e9, Memory: 4096, PeakMemory: 8192, Read: 301, Written: 4020}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestBindFails has limits that the system does not take: only what some
// systems do not know may be missing.
func TestBindFails(t *testing.T) {
	t.Parallel()
	for file, fails := range map[string]bool{"memory.max": true, "pids.max": true, "cpu.max": true, "memory.swap.max": false, "memory.oom.group": false} {
		base := Base{dir: t.TempDir()}
		write(t, filepath.Join(base.dir, "cgroup.controllers"), "cpu memory pids\n")
		write(t, filepath.Join(base.dir, "cgroup.subtree_control"), "cpu memory pids\n")
		limits := Limits{Memory: 64 << 20, Processes: 200, CPUs: 1.5}
		g := base.Make("gw-test-1")
		if err := os.Mkdir(filepath.Join(g.path, file), 0o700); err != nil { // nobody can write to that
			t.Fatal(err)
		}
		bounds, err := new(Enforcers).For(nil, base, limits).Bind(g, limits)
		if (err != nil) != fails || (bounds == nil) != fails {
			t.Errorf("%s: got %v, %v", file, bounds, err)
		}
	}
}

// TestEnable switches on what is there, and refuses what is not.
func TestEnable(t *testing.T) {
	t.Parallel()
	base := Base{dir: t.TempDir()}
	write(t, filepath.Join(base.dir, "cgroup.procs"), "")
	write(t, filepath.Join(base.dir, "cgroup.controllers"), "memory\n")
	write(t, filepath.Join(base.dir, "cgroup.subtree_control"), "")
	limits := Limits{Memory: 1, Processes: 1}
	e := new(Enforcers).For(nil, base, limits)
	if e.How("memory") == "" || e.How("pids") != "" {
		t.Errorf("memory %q, pids %q", e.How("memory"), e.How("pids"))
	}
	if got := files(t, base.dir)["cgroup.subtree_control"]; got != "+memory" {
		t.Errorf("wrote %q", got)
	}
	bounds, err := e.Bind(base.Make("gw-test-1"), limits)
	if err != nil || len(bounds.by) != 1 {
		t.Errorf("got %+v, %v", bounds, err)
	}
}

// TestLeave moves a process out of a group that it has for itself, and not out
// of one that it shares.
func TestLeave(t *testing.T) {
	t.Parallel()
	base := Base{dir: t.TempDir()}
	write(t, filepath.Join(base.dir, "cgroup.procs"), "1\n2\n")
	if err := base.leave(); err != nil {
		t.Errorf("the root cannot hand on controllers: %v", err)
	}
	write(t, filepath.Join(base.dir, "cgroup.type"), "domain\n")
	write(t, filepath.Join(base.dir, "cgroup.controllers"), "cpu\n")
	write(t, filepath.Join(base.dir, "cgroup.subtree_control"), "")
	if err := base.enable("cpu"); err == nil || files(t, base.dir)["cgroup.subtree_control"] != "" {
		t.Errorf("others are in the group, and their controllers changed: %v", err)
	}
	self, err := os.Readlink("/proc/self")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(base.dir, "cgroup.procs"), self+"\n")
	if err := base.enable("cpu"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, base.dir)["cgroup.subtree_control"]; got != "+cpu" {
		t.Errorf("wrote %q", got)
	}
	if got := files(t, filepath.Join(base.dir, own+self))["cgroup.procs"]; got != self {
		t.Errorf("moved %q", got)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	got := settings("cpu", false, Limits{CPUs: 0.0001})
	if want := []setting{{"cpu.cfs_period_us", "100000", false}, {"cpu.cfs_quota_us", "1000", false}}; !cmp.Equal(want, got, cmp.AllowUnexported(setting{})) {
		t.Errorf("got %v, want the least quota there is", got)
	}
}

func TestNoBounds(t *testing.T) {
	t.Parallel()
	bounds, err := Enforcer{}.Bind(Group{}, Limits{})
	if err != nil || bounds != nil || bounds.Hits() != (Hits{}) || bounds.Usage(Group{}) != (Usage{}) || bounds.Victim() != "" {
		t.Errorf("got %+v, %v", bounds, err)
	}
	bounds.Remove()
}

func TestVictimOf(t *testing.T) {
	t.Parallel()
	const record = "6,811,24680741530,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0," +
		"oom_memcg=/a/gw-4756-2,task_memcg=/a/gw-4756-2,task=my,task=(x),pid=11068,uid=0\n"
	for _, test := range []struct {
		record, group string
		numbered      bool
		want          string
	}{
		{record, "gw-4756-2", true, "my,task=(x) (pid 11068)"},
		{record, "gw-4756-2", false, "my,task=(x)"},
		{record, "gw-4756-", true, ""},
		{record, "gw-4756-21", true, ""},
		{strings.Replace(record, "oom-kill:", "printed by somebody: oom-kill:", 1), "gw-4756-2", true, ""},
		{"", "gw", true, ""},
	} {
		if got := victimOf(test.record, test.group, test.numbered); got != test.want {
			t.Errorf("%s: got %q, want %q", test.group, got, test.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			found[e.Name()] = string(text)
		}
	}
	return found
}
