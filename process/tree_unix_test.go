//go:build unix

package process

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// immediate is a cause that allows no grace.
type immediate struct{ error }

func (immediate) Immediate() bool { return true }

// TestNothingSurvives is every way to hide against every way to end.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		for _, hideout := range hideouts() {
			for _, end := range []string{"exit", "cancel", "timeout", "kill"} {
				t.Run(v.name+"/"+hideout+"/"+end, func(t *testing.T) {
					t.Parallel()
					testHideout(t, v.limits, hideout, end)
				})
			}
		}
	}
}

func testHideout(t *testing.T, lim limits, hideout, end string) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stay := "stay"
	out := &await{text: "ready", ready: func() { cancel(errStop) }}
	want := error(errStop)
	switch end {
	case "exit":
		stay, out.ready, want = "exit", nil, nil
	case "kill":
		want = immediate{errStop}
		out.ready = func() { cancel(want) }
	case "timeout":
		out.ready = func() { time.AfterFunc(time.Millisecond, func() { cancel(errStop) }) }
	}
	dir := t.TempDir()
	c := Command{
		Argv: []string{self(), "parent", dir, hideout, stay}, Dir: dir, Env: probeEnv(),
		Output: out, Grace: 100 * time.Millisecond, Marker: "PROCESS_TEST=" + dir,
	}
	if end == "kill" {
		c.Grace = time.Hour
	}
	res, err := c.run(ctx, lim)
	if survivors(dir) {
		t.Errorf("a descendant survived")
	}
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	if out.seen.String() != "ready\n" {
		t.Errorf("got output %q", &out.seen)
	}
	switch {
	case end == "exit" && (res.ExitCode != 0 || res.Signal != "" || len(res.Killed) == 0):
		t.Errorf("got %+v, want exit code 0 and a process killed", res)
	case end == "kill" && (res.ExitCode != 137 || len(res.Killed) == 0):
		t.Errorf("got %+v, want exit code 137 and processes killed", res)
	case (end == "cancel" || end == "timeout") && res.ExitCode != 143 && hideout != "spinner":
		t.Errorf("got %+v, want exit code 143", res)
	}
}

// TestStoppedAlone stops one of two commands that look alike.
func TestStoppedAlone(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			dirs := [2]string{t.TempDir(), t.TempDir()}
			var stops [2]context.CancelCauseFunc
			var ends [2]chan error
			for i, dir := range dirs {
				ctx, cancel := context.WithCancelCause(t.Context())
				ready := make(chan struct{})
				stops[i], ends[i] = cancel, make(chan error, 1)
				c := Command{
					Argv: []string{self(), "parent", dir, "daemon", "stay"}, Dir: dir, Env: probeEnv(),
					Output: &await{text: "ready", ready: func() { close(ready) }}, Marker: "PROCESS_TEST=" + dirs[0],
				}
				go func() {
					_, err := c.run(ctx, v.limits)
					ends[i] <- err
				}()
				select {
				case <-ready:
				case err := <-ends[i]:
					t.Fatal(err)
				}
			}
			stops[0](errStop)
			if err := <-ends[0]; !errors.Is(err, errStop) {
				t.Errorf("got %v", err)
			}
			if survivors(dirs[0]) {
				t.Error("a descendant of the stopped command survived")
			}
			if !survivors(dirs[1]) {
				t.Error("a descendant of the other command was killed")
			}
			select {
			case err := <-ends[1]:
				t.Fatalf("the other command ended: %v", err)
			default:
			}
			stops[1](errStop)
			<-ends[1]
			if survivors(dirs[1]) {
				t.Error("a descendant of the other command survived")
			}
		})
	}
}

// TestGrace lets a command that stops when asked choose its exit code.
func TestGrace(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &await{text: "ready", ready: func() { cancel(errStop) }}
	c := shell(t.TempDir(), `trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done`)
	c.Output, c.Grace = out, time.Minute
	res, err := c.Run(ctx)
	if !errors.Is(err, errStop) || res.ExitCode != 3 || len(res.Killed) != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	if !strings.HasSuffix(out.seen.String(), "bye\n") {
		t.Errorf("got output %q", &out.seen)
	}
}

func TestNotStartedWhenStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStop)
	dir := t.TempDir()
	c := shell(dir, "touch started")
	res, err := c.Run(ctx)
	if !errors.Is(err, errStop) || res.ExitCode != -1 {
		t.Errorf("got %+v, %v", res, err)
	}
	if _, err := os.Stat(dir + "/started"); err == nil {
		t.Error("it was started")
	}
}
