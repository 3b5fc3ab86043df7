package resourcemonitor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform"
	"github.com/taskcluster/generic-worker/process"
)

// TestMain runs the tests, or what they measure.
func TestMain(m *testing.M) {
	switch os.Getenv("MONITOR_PROBE") {
	case "":
		os.Exit(m.Run())
	case "wait":
		_, _ = io.ReadFull(os.Stdin, make([]byte, 1)) // nothing is there
		time.Sleep(time.Hour)                         // until it is killed
	case "hold": // 128 MiB, a file of 3 MiB and half a second
		held := make([]byte, 128<<20)
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		if err := os.WriteFile("file", held[:3<<20], 0o600); err != nil {
			panic(err)
		}
		time.Sleep(700 * time.Millisecond) // to be looked at
		held[0]++
	}
}

// stage is a claimed run of a task.
type stage struct {
	fake *queuetest.Fake
	run  *task.Run
	log  string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{fake: queuetest.StartFake(t, queuetest.FakeOptions{KeepBodies: 1 << 20})}
	s.fake.AddTask(map[string]any{})
	client := &queue.Client{RootURL: s.fake.URL}
	claims, err := client.Claim(t.Context(), queue.Worker{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w"}, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %d tasks: %v", len(claims), err)
	}
	own, dir := t.TempDir(), t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.log = filepath.Join(own, "log")
	log, err := task.CreateLog(s.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close(); log.Close() })
	claim := func() queue.Claim { return claims[0] }
	s.run = &task.Run{
		TaskID: claims[0].TaskID, RunID: claims[0].RunID, Definition: claims[0].Definition, Claim: claim,
		Dir: own, Log: log, Operator: slog.New(slog.DiscardHandler),
		Artifacts: &artifact.Publisher{Queue: client, Claim: claim, RootURL: s.fake.URL, SpoolDir: own},
		Session:   &platform.Session{Dir: dir, Root: root},
		Payload:   payload.Default(),
	}
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
	s := newStage(t)
	s.run.Payload.Features.ResourceMonitor.Artifact = true
	hooks := s.attach(t, usual())
	figures, err := s.command(t, hooks, 0, "hold")
	if err != nil {
		t.Fatal(err)
	}
	for _, label := range []string{
		"Peak Memory", "Average Memory", "Most Processes", "Largest Task Directory",
		"Average Available System Memory", "Average System Memory Used", "Peak System Memory Used", "Total System Memory",
	} {
		if !slices.Contains(labels(figures), label) {
			t.Errorf("%s is not among %v", label, figures)
		}
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
	within(t, "peak memory", held.PeakMemory, 128<<20, 400<<20)
	within(t, "average memory", held.AverageMemory, 64<<20, held.PeakMemory)
	within(t, "disk", held.Disk, 3<<20, 4<<20)
	within(t, "processes", int64(held.PeakProcesses), 1, 1)
	within(t, "samples", int64(held.Samples), 2, 10)
	within(t, "wall", int64(held.WallSeconds*1000), 700, 60_000)
	within(t, "total memory", held.System.Total, held.System.PeakUsed, math.MaxInt64)
	within(t, "used", held.System.AverageUsed, 1, held.System.PeakUsed)
	if brief.WallSeconds <= 0 || brief.System == nil {
		t.Errorf("got %+v of a brief command", brief)
	}
	within(t, "total of wall", int64(got.Total.WallSeconds*1e6), int64(held.WallSeconds*1e6)+1, int64((held.WallSeconds+brief.WallSeconds)*1e6)+1)
	if got.Total.PeakMemory < held.PeakMemory || got.Total.Samples != held.Samples+brief.Samples || got.Total.Command != nil {
		t.Errorf("got a total of %+v", got.Total)
	}
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
			if _, err := s.command(t, s.attach(t, config), 0, "hold"); err != nil {
				t.Errorf("got %v", err)
			}
			text, err := os.ReadFile(s.log)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			if config.WarnOnly {
				want = 1
			}
			if got := strings.Count(string(text), "short of memory"); got != want {
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
