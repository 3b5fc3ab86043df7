package worker_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
	"github.com/taskcluster/generic-worker/internal/worker/journal"
)

// TestL1WhatAKilledWorkerHad: a run that was cut off is given back by the next
// worker, and one that was reported before is left alone.
func TestL1WhatAKilledWorkerHad(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		reported bool // as completed, by the worker that was killed
		want     string
	}{
		"cut off":  {false, "exception/worker-shutdown"},
		"reported": {true, "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.IdleTimeout = time.Millisecond })
			id := s.fake.AddTask(shell("true"), with("retries", 0))
			claims, err := s.worker.Queue.Claim(t.Context(), s.worker.Config.Identity, 1)
			if err != nil || len(claims) != 1 {
				t.Fatalf("got %d claims, %v", len(claims), err)
			}
			notes, err := journal.Open(filepath.Join(s.dir, "state"))
			if err != nil {
				t.Fatal(err)
			}
			notes.Enter(claims[0])
			notes.Close()
			if row.reported {
				if err := s.worker.Queue.Resolve(t.Context(), claims[0], task.Completed.Outcome()); err != nil {
					t.Fatal(err)
				}
			}
			if stop := s.start().wait(); stop != worker.Idle {
				t.Errorf("stopped for reason %d", stop)
			}
			if got := outcome(s.resolved(id, 0)); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
			given := slices.ContainsFunc(s.fake.Calls(), func(c queuetest.Call) bool { return c.Endpoint == "reportException" })
			if given == row.reported {
				t.Errorf("the next worker gave it back: %v", given)
			}
			if left := notes.Unfinished(); len(left) > 0 {
				t.Errorf("%d runs are still in the journal", len(left))
			}
		})
	}
}
