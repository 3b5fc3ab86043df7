package resourcemonitor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/usage"
)

// TestMain runs the tests, or what they measure.
func TestMain(m *testing.M) {
	switch os.Getenv("MONITOR_PROBE") {
	case "":
		os.Exit(m.Run())
	case "none":
	case "wait":
		_, _ = io.ReadFull(os.Stdin, make([]byte, 1)) // nothing is there
		time.Sleep(time.Hour)                         // until it is killed
	default: // how long to hold 128 MiB and a file of 3 MiB
		lasting, err := time.ParseDuration(os.Getenv("MONITOR_PROBE"))
		if err != nil {
			panic(err)
		}
		held := make([]byte, 128<<20)
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		if err := os.WriteFile("file", held[:3<<20], 0o600); err != nil {
			panic(err)
		}
		time.Sleep(lasting) // to be looked at
		held[0]++
	}
}

// stage is a claimed run of a task.
type stage struct {
	fake *queuetest.Fake
	run  *task.Run
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{fake: queuetest.StartFake(t, queuetest.FakeOptions{KeepBodies: 1 << 20})}
	s.fake.AddTask(map[string]any{})
	s.run = tasktest.Claimed(t, s.fake)
	s.run.Payload = payload.Default()
	return s
}

// usual is a machine that is never short of memory.
func usual() Config { return Config{MaxPercent: 100, MinAvailable: 0, Allowed: time.Hour} }

func (s *stage) attach(t *testing.T, config Config) features.Hooks {
	t.Helper()
	hooks, err := New(config).Attach(s.run)
	if err != nil {
		t.Fatal(err)
	}
	return hooks
}

// command runs a probe beside the hook.
func (s *stage) command(t *testing.T, hooks features.Hooks, index int, probe string) ([]features.Figure, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var figures []features.Figure
	c := process.Command{
		Argv: []string{self}, Dir: s.run.Session.Dir, Env: []string{"MONITOR_PROBE=" + probe, "SystemRoot=" + os.Getenv("SystemRoot")},
		Beside: func(ctx context.Context, r *process.Running) (err error) {
			figures, err = hooks.Watch(ctx, features.Watched{Index: index, Running: r})
			return err
		},
	}
	_, err = c.Run(t.Context())
	return figures, err
}

func labels(figures []features.Figure) []string {
	var names []string
	for _, f := range figures {
		names = append(names, f.Label)
	}
	return names
}

// TestFigures measures a command of which is known what it uses.
func TestFigures(t *testing.T) {
	t.Parallel()
	// The busier the machine, the less often a command is looked at.
	for _, lasting := range []time.Duration{700 * time.Millisecond, 5 * time.Second, 30 * time.Second} {
		if testFigures(t, lasting) {
			return
		}
	}
	t.Error("half a minute was too brief to be looked at twice")
}

// testFigures tells whether the command was looked at often enough to say more.
func testFigures(t *testing.T, lasting time.Duration) bool {
	t.Helper()
	s := newStage(t)
	s.run.Payload.Features.ResourceMonitor.Artifact = true
	hooks := s.attach(t, usual())
	figures, err := s.command(t, hooks, 0, lasting.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.command(t, hooks, 1, "none"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{artifactName}, hooks.Reserves); diff != "" {
		t.Error(diff)
	}
	if err := hooks.Finish(t.Context(), task.Failed); err != nil {
		t.Fatal(err)
	}
	got := s.published(t)
	if got.Version != 1 || len(got.Commands) != 2 || *got.Commands[0].Command != 0 || *got.Commands[1].Command != 1 {
		t.Fatalf("got %+v", got)
	}
	held, brief := got.Commands[0], got.Commands[1]
	if held.Samples < 2 {
		return false
	}
	for _, label := range []string{
		"Peak Memory", "Average Memory", "Most Processes", "Largest Task Directory",
		"Average Available System Memory", "Average System Memory Used", "Peak System Memory Used", "Total System Memory",
	} {
		if !slices.Contains(labels(figures), label) {
			t.Errorf("%s is not among %v", label, figures)
		}
	}
	within(t, "peak memory", held.PeakMemory, 128<<20, 400<<20)
	within(t, "average memory", held.AverageMemory, 8<<20, held.PeakMemory)
	within(t, "disk", held.Disk, 3<<20, 4<<20)
	within(t, "processes", int64(held.PeakProcesses), 1, 1)
	within(t, "samples", int64(held.Samples), 2, int64(held.WallSeconds*2)+2)
	within(t, "wall", int64(held.WallSeconds*1000), lasting.Milliseconds(), math.MaxInt64)
	within(t, "processor time", int64((held.UserSeconds+held.SystemSeconds)*1e6), 1, math.MaxInt64)
	within(t, "total memory", held.System.Total, held.System.PeakUsed, math.MaxInt64)
	within(t, "used", held.System.AverageUsed, 1, held.System.PeakUsed)
	if brief.WallSeconds <= 0 || brief.System == nil {
		t.Errorf("got %+v of a brief command", brief)
	}
	within(t, "total of wall", int64(got.Total.WallSeconds*1e6), int64(held.WallSeconds*1e6)+1, int64((held.WallSeconds+brief.WallSeconds)*1e6)+1)
	if got.Total.PeakMemory < held.PeakMemory || got.Total.Samples != held.Samples+brief.Samples || got.Total.Command != nil {
		t.Errorf("got a total of %+v", got.Total)
	}
	return true
}

func within(t *testing.T, what string, got, least, most int64) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: got %d, want %d to %d", what, got, least, most)
	}
}

// published reads the artifact as the queue has it.
func (s *stage) published(t *testing.T) report {
	t.Helper()
	var got report
	view, _ := s.fake.Run(s.run.TaskID, s.run.RunID)
	stored := view.Artifact(artifactName)
	if stored.Name == "" {
		return got
	}
	text, err := gzip.NewReader(bytes.NewReader(stored.Body))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(text).Decode(&got); err != nil || stored.ContentType != "application/json" {
		t.Fatalf("%s: %v", stored.ContentType, err)
	}
	return got
}

// TestAverages has each figure count for the time since the one before, in one
// command and over several.
func TestAverages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := newSeries(0)
		time.Sleep(100 * time.Millisecond)
		first.add(usage.Sample{Memory: 1000, Processes: 3})
		time.Sleep(300 * time.Millisecond)
		first.add(usage.Sample{Memory: 2000, PeakMemory: 5000, Processes: 1})
		first.machine.add(usage.Memory{Total: 100, Available: 80})
		first.machine.add(usage.Memory{Total: 100, Available: 40})
		first.end(usage.Sample{Wall: time.Second, User: 1500 * time.Microsecond, Transfers: true, Read: 7, Written: 8})
		second := newSeries(1)
		time.Sleep(400 * time.Millisecond)
		second.add(usage.Sample{Memory: 4000, Processes: 2})
		second.machine.add(usage.Memory{Total: 100, Available: 30})
		second.end(usage.Sample{})
		got := newReport([]measurement{first.measurement(), second.measurement()})
		number := func(n int) *int { return &n }
		seven, eight := int64(7), int64(8)
		want := report{
			Version: 1,
			Commands: []measurement{{
				Command: number(0), WallSeconds: 1, UserSeconds: 0.0015, PeakMemory: 5000, AverageMemory: 1750, Read: &seven, Written: &eight,
				PeakProcesses: 3, Samples: 2, System: &overall{Total: 100, AverageAvailable: 60, AverageUsed: 40, PeakUsed: 60},
			}, {
				Command: number(1), WallSeconds: 0.4, PeakMemory: 4000, AverageMemory: 4000, PeakProcesses: 2, Samples: 1,
				System: &overall{Total: 100, AverageAvailable: 30, AverageUsed: 70, PeakUsed: 70},
			}},
			Total: measurement{
				WallSeconds: 1.4, UserSeconds: 0.0015, PeakMemory: 5000, AverageMemory: 2875, Read: &seven, Written: &eight,
				PeakProcesses: 3, Samples: 3, System: &overall{Total: 100, AverageAvailable: 50, AverageUsed: 50, PeakUsed: 70},
			},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(measurement{})); diff != "" {
			t.Error(diff)
		}
	})
}

// TestWalks measures a directory again when that does not take too much of the
// time, and says if it was given up.
func TestWalks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	now := time.Now()
	for name, test := range map[string]struct {
		last       time.Time
		took       time.Duration
		limit      time.Duration
		taken, cut bool
	}{
		"the first":         {limit: time.Hour, taken: true},
		"soon after":        {last: now, took: time.Hour, limit: time.Hour},
		"long after":        {last: now.Add(-walkShare * time.Hour), took: time.Hour, limit: time.Hour, taken: true},
		"more than is time": {limit: -1, cut: true},
	} {
		w, s := walks{root: root, last: test.last, took: test.took}, series{}
		w.take(&s, test.limit)
		if taken := s.disk >= 1<<20; taken != test.taken && !test.cut || s.cut != test.cut {
			t.Errorf("%s: got %d bytes, given up: %v", name, s.disk, s.cut)
		}
	}
	want := []features.Figure{{Label: "Largest Task Directory", Value: "at least 1.00 MiB"}}
	if diff := cmp.Diff(want, measurement{Disk: 1 << 20, DiskIsLeast: true}.rows()); diff != "" {
		t.Error(diff)
	}
}

// TestShortage is a machine that is short of memory, has enough, and is short again.
func TestShortage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := shortage{Config: Config{MaxPercent: 90, MinAvailable: 100, Allowed: 5 * time.Second}}
		short, enough := usage.Memory{Total: 1000, Available: 100}, usage.Memory{Total: 1000, Available: 101}
		for i, memory := range []usage.Memory{short, short, short, short, short, enough, short, short, short, short, short} {
			if err := s.check(memory); err != nil {
				t.Fatalf("second %d: %v", i, err)
			}
			time.Sleep(time.Second)
		}
		if err := s.check(short); task.ResolutionOf(err) != task.Failed || !strings.Contains(err.Error(), "short of memory for 5s: 90.0 % of") {
			t.Errorf("got %v", err)
		}
		if err := s.check(usage.Memory{}); err != nil {
			t.Errorf("a machine that cannot be measured is short of memory: %v", err)
		}
	})
}

// TestShortOfMemory puts the limits where every machine crosses them.
func TestShortOfMemory(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	short := Config{MaxPercent: 0, MinAvailable: math.MaxInt64, Allowed: 300 * time.Millisecond}
	began := time.Now()
	_, err := s.command(t, s.attach(t, short), 0, "wait")
	failure, ok := errors.AsType[*task.Error](err)
	if !ok || failure.Resolution != task.Failed {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"short of memory for ", " % of ", "at most 0 % may be", "at least 8589934592.00 GiB must be"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if took := time.Since(began); took < short.Allowed {
		t.Errorf("ended after %v, want at least %v", took, short.Allowed)
	}
}

// TestNotShort crosses one limit and not the other, or both where that is only told.
func TestNotShort(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"much is used":       {MaxPercent: 0, MinAvailable: 0},
		"little is left":     {MaxPercent: 100, MinAvailable: math.MaxInt64},
		"not for long":       {MaxPercent: 0, MinAvailable: math.MaxInt64, Allowed: time.Hour},
		"both, but only say": {MaxPercent: 0, MinAvailable: math.MaxInt64, WarnOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			if _, err := s.command(t, s.attach(t, config), 0, "100ms"); err != nil {
				t.Errorf("got %v", err)
			}
			text := tasktest.Logged(t, s.run)
			want := 0
			if config.WarnOnly {
				want = 1
			}
			if got := strings.Count(text, "short of memory"); got != want {
				t.Errorf("said %d times that memory is short, want %d:\n%s", got, want, text)
			}
		})
	}
}

// TestNotWanted has payloads that want less than everything.
func TestNotWanted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	hooks := s.attach(t, usual())
	if hooks.Watch == nil || hooks.Finish != nil || len(hooks.Reserves) > 0 {
		t.Errorf("without an artifact: got %+v", hooks)
	}
	s.run.Payload.Features.ResourceMonitor = payload.ResourceMonitor{}
	if hooks := s.attach(t, usual()); hooks.Watch != nil {
		t.Errorf("switched off: got %+v", hooks)
	}
}

// TestNothingMeasured publishes what there is of a task whose commands were not
// reached, and nothing of one that was canceled.
func TestNothingMeasured(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.run.Payload.Features.ResourceMonitor.Artifact = true
	hooks := s.attach(t, usual())
	if err := hooks.Finish(t.Context(), task.Canceled); err != nil || s.published(t).Version != 0 {
		t.Errorf("canceled: got %+v, %v", s.published(t), err)
	}
	if err := hooks.Finish(t.Context(), task.Failed); err != nil {
		t.Fatal(err)
	}
	if got := s.published(t); got.Version != 1 || got.Commands == nil || len(got.Commands) != 0 {
		t.Errorf("got %+v", got)
	}
}
