package worker_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
)

// held is a feature that keeps every failed task until release, and notes how
// that ended.
type held struct {
	begun    chan struct{}
	release  chan struct{}
	finished chan error // why Hold ended, once Finish is called
	ended    error
}

func newHeld() *held {
	return &held{begun: make(chan struct{}, 8), release: make(chan struct{}), finished: make(chan error, 8), ended: errNotHeld}
}

var errNotHeld = errors.New("it was not held")

func (h *held) feature() features.Feature {
	return hooks("held", features.Hooks{
		Hold: func(ctx context.Context) error {
			h.begun <- struct{}{}
			select {
			case <-h.release:
				h.ended = nil
			case <-ctx.Done():
				h.ended = context.Cause(ctx)
			}
			return nil
		},
		Finish: func(context.Context, task.Resolution) error {
			h.finished <- h.ended
			return nil
		},
	})
}

// TestHold keeps tasks that failed, and no others.
func TestHold(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		payload map[string]any
		feature features.Feature
		want    string
		held    bool
	}{
		"failed":        {payload: shell("exit 3"), want: "failed", held: true},
		"intermittent":  {payload: shell("exit 4", with("onExitStatus", map[string]any{"retry": []int{4}})), want: "exception/intermittent-task", held: true},
		"maxRunTime":    {payload: shell("sleep 60", with("maxRunTime", 1)), want: "failed", held: true},
		"completed":     {payload: shell("true"), want: "completed"},
		"malformed":     {payload: map[string]any{"command": "x"}, want: "exception/malformed-payload"},
		"not prepared":  {payload: shell("true"), feature: hooks("f", features.Hooks{Prepare: func(context.Context) error { return task.Errorf(task.Failed, "no") }}), want: "failed"},
		"not published": {payload: shell("true"), feature: hooks("f", features.Hooks{Finish: func(context.Context, task.Resolution) error { return task.Errorf(task.Failed, "no") }}), want: "failed"},
		"it panics":     {payload: shell("exit 3"), feature: hooks("f", features.Hooks{Hold: func(context.Context) error { panic("boom") }}), want: "failed", held: true},
		"it fails":      {payload: shell("exit 3"), feature: hooks("f", features.Hooks{Hold: func(context.Context) error { return errBroken }}), want: "failed", held: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHeld()
			close(h.release)
			s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
				w.Features = append(w.Features, h.feature())
				if row.feature != nil {
					w.Features = append(w.Features, row.feature)
				}
			}).start()
			if got := outcome(s.resolved(s.fake.AddTask(row.payload), 0)); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
			if err := <-h.finished; (err == nil) != row.held {
				t.Errorf("it was held: %v (%v)", err == nil, err)
			}
		})
	}
}

// TestHoldKeepsTheClaim holds a task until its claim was renewed.
func TestHoldKeepsTheClaim(t *testing.T) {
	t.Parallel()
	h := newHeld()
	s := newSite(t, queuetest.FakeOptions{Lease: 20 * time.Second}, func(w *worker.Worker) { w.Features = append(w.Features, h.feature()) }).start()
	id := s.fake.AddTask(shell("exit 3"))
	<-h.begun
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	renewed := func(calls []queuetest.Call) bool {
		return slices.ContainsFunc(calls, func(c queuetest.Call) bool { return c.Endpoint == "reclaimTask" && c.Status == 200 })
	}
	if err := s.fake.WaitCalls(ctx, renewed); err != nil {
		t.Fatal(err)
	}
	close(h.release)
	if got := outcome(s.resolved(id, 0)); got != "failed" {
		t.Errorf("resolved as %s", got)
	}
}

// TestHoldEndsWithTheTask has reasons to end while a task is held.
func TestHoldEndsWithTheTask(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		end  func(s *site, id string)
		want string // of the run
		why  task.Resolution
	}{
		"canceled": {func(s *site, id string) { s.fake.Cancel(id) }, "exception/canceled", task.Canceled},
		"shutdown": {func(s *site, _ string) { s.abort(errShutdown) }, "failed", task.WorkerShutdown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHeld()
			s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Features = append(w.Features, h.feature()) }).start()
			id := s.fake.AddTask(shell("exit 3"))
			<-h.begun
			began := time.Now()
			row.end(s, id)
			if got := outcome(s.resolved(id, 0)); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
			if why := task.ResolutionOf(<-h.finished); why != row.why || time.Since(began) > 30*time.Second {
				t.Errorf("it ended for %v after %v", why, time.Since(began))
			}
		})
	}
}
