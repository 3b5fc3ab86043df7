package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/process/cgroup"
	"github.com/taskcluster/generic-worker/process/usage"
)

// means are the ways to keep limits on this machine.
func means(t *testing.T, controller string, l usage.Limits) []variant {
	t.Helper()
	h := theHost()
	all := []variant{{"watched", limits{patience: patience}}}
	if h.enforcers.For(h.place, h.groups, cgroup.Limits(l)).How(controller) != "" {
		all = append(all, variant{"control group", limits{best, patience}})
	} else if os.Getenv("CI") != "" {
		t.Logf("no controller %s here", controller)
	}
	return all
}

// TestMemoryLimit has a descendant use more memory than the command may, which
// the command itself does not mind.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	limit := usage.Limits{Memory: 64 << 20}
	for _, v := range means(t, "memory", limit) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			c := shell(t.TempDir(), `"$HOG" hog 256 1h; exit 0`)
			c.Env = append(probeEnv(), "HOG="+self())
			c.Limits, c.OOMScore = limit, 500
			res, err := c.run(t.Context(), v.limits)
			hit, ok := errors.AsType[*usage.Exceeded](err)
			if !ok || hit.What != usage.MemoryLimit || hit.Limit != limit.Memory || len(hit.Killed) != 1 {
				t.Fatalf("got %+v, %v", res, err)
			}
			if v.cgroups != "" && hit.Peak > limit.Memory+1<<20 || hit.Peak < limit.Memory*9/10 {
				t.Errorf("got a peak of %d, want the limit", hit.Peak)
			}
			if !strings.HasPrefix(hit.Killed[0], filepath.Base(self())+" (pid ") && v.cgroups == "" {
				t.Errorf("got %q killed, want the one with the memory", hit.Killed)
			}
		})
	}
}

// TestWithinLimits is a command that keeps to what it may.
func TestWithinLimits(t *testing.T) {
	t.Parallel()
	limit := usage.Limits{Memory: 512 << 20, Processes: 100}
	for _, v := range means(t, "memory", limit) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			c := shell(t.TempDir(), `"$HOG" hog 16 1ms; exit 3`)
			c.Env, c.Limits = append(probeEnv(), "HOG="+self()), limit
			if res, err := c.run(t.Context(), v.limits); err != nil || res.ExitCode != 3 {
				t.Errorf("got %+v, %v", res, err)
			}
		})
	}
}

// TestP2ForkBomb ends a fork bomb, which another command does not notice.
func TestP2ForkBomb(t *testing.T) {
	t.Parallel()
	limit := usage.Limits{Processes: 200}
	for _, v := range means(t, "pids", limit) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			other := runBeside(t, "BESIDE="+v.name)
			began := time.Now()
			script := `b() { b | b & sleep 0.01; b; }; b`
			if v.cgroups == "" { // nothing would hold that
				script = "for i in $(seq 250); do sleep 3600 & done; wait"
			}
			c := shell(t.TempDir(), script)
			c.Limits, c.Marker = limit, "BOMB="+c.Dir
			res, err := c.run(t.Context(), v.limits)
			hit, ok := errors.AsType[*usage.Exceeded](err)
			if !ok || hit.What != usage.ProcessesLimit || hit.Limit != 200 || hit.Peak < 200 {
				t.Errorf("got %+v, %v", res, err)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			other.check(t)
		})
	}
}

// TestCPULimit compares the time that a busy command gets with its share.
func TestCPULimit(t *testing.T) {
	t.Parallel()
	limit := usage.Limits{CPUs: 0.25}
	c := shell(t.TempDir(), `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done`)
	c.Limits = limit
	if Enforce(limit).CPUs == "" {
		if _, err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot limit") {
			t.Errorf("got %v, want it refused", err)
		}
		return
	}
	res, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	share := float64(res.User+res.System) / float64(res.Wall)
	if res.Wall < 500*time.Millisecond || share > 0.35 {
		t.Errorf("used %.2f of a processor over %v, want 0.25", share, res.Wall)
	}
}

// TestBeside watches commands in every way they can be kept together.
func TestBeside(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			var during, after usage.Sample
			c := Command{Argv: []string{self(), "fork-use"}, Dir: t.TempDir(), Env: probeEnv(), Marker: "BESIDE=" + t.Name()}
			c.Beside = func(ctx context.Context, r *Running) error {
				for ctx.Err() == nil {
					if now := r.Usage(); now.Memory > during.Memory {
						during = now
					}
					select {
					case <-ctx.Done():
					case <-time.After(5 * time.Millisecond):
					}
				}
				after = r.Usage()
				return nil
			}
			res, err := c.run(t.Context(), v.limits)
			if err != nil {
				t.Fatal(err)
			}
			if during.Memory < 150<<20 || during.Processes != 2 || during.Threads < 2 {
				t.Errorf("during: got %+v, want 200 MiB and 2 processes", during)
			}
			if after.User != res.User || after.System != res.System || after.PeakMemory < 200<<20 || after.Processes != 0 {
				t.Errorf("after: got %+v, want figures of %+v", after, res)
			}
		})
	}
}

// TestBesideEnds has what runs beside a command end it, return early, and panic.
func TestBesideEnds(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	sleep := Command{Argv: []string{"/bin/sleep", "3600"}, Dir: t.TempDir(), Beside: func(context.Context, *Running) error { return enough }}
	if res, err := sleep.Run(t.Context()); !errors.Is(err, enough) || res.Signal != "killed" {
		t.Errorf("got %+v, %v", res, err)
	}
	sleep.Beside = func(context.Context, *Running) error { panic("oops") }
	if _, err := sleep.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("got %v", err)
	}
	brief := Command{Argv: []string{"/bin/true"}, Dir: t.TempDir(), Beside: func(context.Context, *Running) error { return nil }}
	if _, err := brief.Run(t.Context()); err != nil {
		t.Error(err)
	}
	late := Command{Argv: []string{"/bin/true"}, Dir: t.TempDir(), Beside: func(ctx context.Context, _ *Running) error {
		<-ctx.Done()
		return fmt.Errorf("%w, but too late", enough)
	}}
	if res, err := late.Run(t.Context()); err != nil || res.ExitCode != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
}

// TestOOMScore looks at where commands stand.
func TestOOMScore(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := shell(t.TempDir(), "sleep 0.05; cat /proc/self/oom_score_adj")
	c.Output, c.OOMScore = &out, 500
	if _, err := c.Run(t.Context()); err != nil || strings.TrimSpace(out.String()) != "500" {
		t.Errorf("got %q, %v", &out, err)
	}
}

// TestSweptLimits leaves a limit behind, as a worker does that is killed.
func TestSweptLimits(t *testing.T) {
	t.Parallel()
	h, marker := theHost(), "SWEPT="+t.TempDir()
	base := h.place.V1("pids")
	if !base.Usable() {
		t.Logf("no controller pids of version 1 here: limits are in the command's own group")
		return
	}
	base.Make(family(marker) + "1-1")
	if left := h.place.Bounds(family(marker)); len(left) != 1 {
		t.Fatalf("got %v", left)
	}
	if killed, err := Sweep(t.Context(), marker); err != nil || len(killed) > 0 {
		t.Errorf("got %q, %v", killed, err)
	}
	if left := h.place.Bounds(family(marker)); len(left) > 0 {
		t.Errorf("%v is still there", left)
	}
}
