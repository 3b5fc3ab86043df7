package worker_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
	"github.com/taskcluster/generic-worker/platform"
)

// bench is a worker on a queue of its own.
type site struct {
	t      testing.TB
	fake   *queuetest.Fake
	worker *worker.Worker
	dir    string

	abort context.CancelCauseFunc
	drain context.CancelFunc
	ended chan struct{}
	stop  worker.Stop
	err   error
}

// newSite wires a worker to a fake queue; edit changes it before it starts.
func newSite(t testing.TB, options queuetest.FakeOptions, edit ...func(*worker.Worker)) *site {
	t.Helper()
	if options.LongPoll == 0 {
		options.LongPoll = 100 * time.Millisecond
	}
	fake := queuetest.StartFake(t, options)
	dir := t.TempDir()
	log := slog.New(slog.NewTextHandler(&lines{t: t}, nil))
	client := &queue.Client{
		RootURL: fake.URL, Log: log, Limits: queue.Limits{FirstPause: 10 * time.Millisecond, MaxPause: 50 * time.Millisecond, Elapsed: 5 * time.Second},
		Credentials: func() queue.Credentials { return queue.Credentials{ClientID: "worker", AccessToken: "secret"} },
	}
	engine := &platform.Insecure{TasksDir: filepath.Join(dir, "tasks"), CleanUp: true, Log: log}
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := engine.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	w := &worker.Worker{
		Config: worker.Config{
			Identity: queue.Worker{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "group", WorkerID: "worker"},
			RootURL:  fake.URL, Capacity: 1, MaxTaskRunTime: time.Hour, StateDir: filepath.Join(dir, "state"),
			Grace: 200 * time.Millisecond, ShutdownBudget: 2 * time.Second, CancelCheck: 50 * time.Millisecond,
		},
		Queue: client, Engine: engine, Log: log,
		Runs:     task.Opener{Dir: filepath.Join(dir, "runs"), Queue: client, Operator: log},
		Features: []features.Feature{keptLog{}},
	}
	for _, change := range edit {
		change(w)
	}
	return &site{t: t, fake: fake, worker: w, dir: dir, ended: make(chan struct{})}
}

// start runs the worker until the test ends.
func (s *site) start() *site {
	ctx, abort := context.WithCancelCause(context.Background())
	drain, stop := context.WithCancel(ctx)
	s.abort, s.drain = abort, stop
	go func() {
		defer close(s.ended)
		s.stop, s.err = s.worker.Run(ctx, drain)
	}()
	s.t.Cleanup(func() {
		abort(errShutdown)
		<-s.ended
	})
	return s
}

var errShutdown = task.Errorf(task.WorkerShutdown, "the worker is shutting down")

// wait returns why the worker stopped.
func (s *site) wait() worker.Stop {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.t.Fatal("the worker does not stop")
	}
	return s.stop
}

// resolved waits until a run is resolved and returns it.
func (s *site) resolved(taskID string, runID int) queuetest.Run {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	run, err := s.fake.WaitResolved(ctx, taskID, runID)
	if err != nil {
		s.t.Fatal(err)
	}
	return run
}

// appears waits until a file exists.
func appears(t *testing.T, path string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not appear", path)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func shell(script string, edit ...func(map[string]any)) map[string]any {
	payload := map[string]any{"command": [][]string{{"/bin/sh", "-c", script}}, "maxRunTime": 60}
	for _, change := range edit {
		change(payload)
	}
	return payload
}

func with(key string, value any) func(map[string]any) {
	return func(m map[string]any) { m[key] = value }
}

// outcome is how a run ended, as people write it.
func outcome(r queuetest.Run) string {
	if r.State == "exception" {
		return r.State + "/" + r.Reason
	}
	return r.State
}

// keptLog publishes each run's log as an artifact, so that tests can read it.
type keptLog struct{}

func (keptLog) Name() string { return "keptLog" }

func (keptLog) Attach(run *task.Run) (features.Hooks, error) {
	return features.Hooks{Seal: func(ctx context.Context) error {
		text, err := os.ReadFile(filepath.Join(run.Dir, "live_backing.log"))
		if err != nil {
			return err
		}
		return publish(ctx, run, "log", text)
	}}, nil
}

func logOf(t *testing.T, run queuetest.Run) string {
	t.Helper()
	stored := run.Artifact("log")
	if stored.ContentEncoding != "gzip" {
		return string(stored.Body)
	}
	reader, err := gzip.NewReader(bytes.NewReader(stored.Body))
	if err != nil {
		t.Fatalf("the log was not published: %v", err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lines passes whole log lines to the test.
type lines struct{ t testing.TB }

func (l *lines) Write(p []byte) (int, error) {
	defer func() { _ = recover() }() // the test may be over
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// staged is a feature with the given hooks for every task.
type staged struct {
	name   string
	attach func(run *task.Run) (features.Hooks, error)
}

func (s staged) Name() string                                 { return s.name }
func (s staged) Attach(run *task.Run) (features.Hooks, error) { return s.attach(run) }

func hooks(name string, h features.Hooks) staged {
	return staged{name: name, attach: func(*task.Run) (features.Hooks, error) { return h, nil }}
}

var errBroken = errors.New("something of ours is broken")
