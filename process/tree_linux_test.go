package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

// TestUnkillable freezes a command so that not even SIGKILL reaches it.
func TestUnkillable(t *testing.T) {
	t.Parallel()
	mount, found := mountOfFreezer()
	if !found {
		t.Skip("this machine has no version 1 freezer to make a process unkillable with")
	}
	ice, err := os.MkdirTemp(mount, "ice")
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = unix.Rmdir(ice) }()
	write := func(file, text string) {
		if err := os.WriteFile(filepath.Join(ice, file), []byte(text), 0); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &await{text: "\n"}
	out.ready = func() {
		write("cgroup.procs", strings.TrimSpace(out.seen.String()))
		write("freezer.state", "FROZEN")
		cancel(errStop)
	}
	c := shell(t.TempDir(), "echo $$; while :; do sleep 1; done")
	c.Output, c.Marker = out, "UNKILLABLE="+c.Dir
	res, err := c.run(ctx, limits{best, 200 * time.Millisecond})
	stuck, ok := errors.AsType[*UnkillableError](err)
	if !ok || len(stuck.Left) == 0 || !errors.Is(err, errStop) || res.ExitCode != -1 {
		t.Errorf("got %+v, %v; want an UnkillableError that wraps the cause", res, err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(out.seen.String()))
	held, _ := new(table.Reader).Entry(pid)
	write("freezer.state", "THAWED")
	members{{held, -1}}.wait(time.Now().Add(10 * time.Second))
	for _, g := range theHost().groups.Named(family(c.Marker)) {
		g.Remove() // what cannot be killed keeps its own
	}
}

func mountOfFreezer() (string, bool) {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == "cgroup" && strings.Contains(","+f[3]+",", ",freezer,") {
			return f[1], true
		}
	}
	return "", false
}

// TestHoldOnlyTheSame tries to get hold of processes whose number is another's
// by now.
func TestHoldOnlyTheSame(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	reader := new(table.Reader)
	found, ok := reader.Entry(pid)
	if !ok || found.Name == "" || found.Parent != os.Getpid() {
		t.Fatalf("got %+v, %v", found, ok)
	}
	yes := func(table.Entry) bool { return true }
	earlier := found
	earlier.Start--
	if m, _ := hold(reader, earlier, yes); m.fd != -1 {
		t.Error("got hold of a process that started at another time")
	} else {
		m.signal(unix.SIGKILL)
	}
	if m, _ := hold(reader, found, func(table.Entry) bool { return false }); m.fd != -1 {
		t.Error("got hold of a process that does not belong")
	}
	m, ok := hold(reader, found, yes)
	if !ok || m.fd < 0 {
		t.Fatalf("got %+v, %v", m, ok)
	}
	if m.gone(time.Now()) {
		t.Error("a process was killed that should not have been")
	}
	ms := members{m}
	for range 2 { // the second time it is a zombie
		m.signal(unix.SIGKILL)
		ms.wait(time.Now().Add(10 * time.Second))
	}
	_ = cmd.Wait()
	m.signal(unix.SIGKILL) // and now nobody
	if !m.gone(time.Now()) {
		t.Error("it is still there")
	}
	ms.close()
}

// TestMeasure has a command use time and memory through a descendant.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			c := Command{Argv: []string{self(), "fork-use"}, Dir: t.TempDir(), Env: probeEnv()}
			res, err := c.run(t.Context(), v.limits)
			if err != nil || res.ExitCode != 0 {
				t.Fatalf("got %+v, %v", res, err)
			}
			if res.User+res.System < 90*time.Millisecond {
				t.Errorf("got %v + %v, want 100 ms", res.User, res.System)
			}
			if res.PeakMemory < 200<<20 {
				t.Errorf("got a peak of %d bytes, want 200 MiB", res.PeakMemory)
			}
			if res.Wall <= 0 {
				t.Errorf("got wall %v", res.Wall)
			}
		})
	}
}
