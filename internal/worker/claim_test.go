package worker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/worker"
	"github.com/taskcluster/generic-worker/platform"
)

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

type brokenEngine struct{}

func (brokenEngine) Open(context.Context, string) (*platform.Session, error) {
	return nil, errors.New("no disk")
}

// TestStops: a worker stops after its number of tasks, restarts included, and
// when it was idle for long enough.
func TestStops(t *testing.T) {
	t.Parallel()
	t.Run("number of tasks", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.TasksToRun, w.Config.Capacity = 3, 2 })
		for range 5 {
			s.fake.AddTask(shell("true"))
		}
		if got := s.start().wait(); got != worker.TasksDone {
			t.Fatalf("stopped for reason %d", got)
		}
		stop, err := s.worker.Run(t.Context(), t.Context())
		if stop != worker.TasksDone || err != nil {
			t.Errorf("started again, it stopped for reason %d, %v", stop, err)
		}
		if n := claims(s.fake.Calls()); n != 3 {
			t.Errorf("%d tasks were claimed, not 3", n)
		}
	})
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.IdleTimeout = 300 * time.Millisecond })
		begin := time.Now()
		if got := s.start().wait(); got != worker.Idle {
			t.Errorf("stopped for reason %d", got)
		}
		if took := time.Since(begin); took < 300*time.Millisecond {
			t.Errorf("stopped after %v", took)
		}
	})
}

// claims counts the runs that were claimed.
func claims(calls []queuetest.Call) int {
	n := 0
	for _, c := range calls {
		if c.Endpoint == "reportCompleted" {
			n++
		}
	}
	return n
}

// TestN8NeverMoreThanCapacity: as many tasks run as there are slots, never more.
func TestN8NeverMoreThanCapacity(t *testing.T) {
	t.Parallel()
	const capacity, tasks = 3, 9
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.Capacity = capacity })
	dir := t.TempDir()
	// Each task counts how many run beside it, the first ones until all slots are taken.
	script := fmt.Sprintf(`cd %s; mkdir $TASK_ID; until [ -e go ]; do sleep 0.01; n=$(ls -d */ | wc -l); [ $n -lt %d ] || touch go; done; ls -d */ | wc -l > $TASK_ID.count; rmdir $TASK_ID`, dir, capacity)
	var ids []string
	for range tasks {
		ids = append(ids, s.fake.AddTask(shell(script)))
	}
	s.start()
	for _, id := range ids {
		if got := outcome(s.resolved(id, 0)); got != "completed" {
			t.Errorf("a task ended as %s", got)
		}
		text, err := os.ReadFile(dir + "/" + id + ".count")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || n > capacity {
			t.Errorf("%d tasks ran at the same time, not %d: %v", n, capacity, err)
		}
	}
}

// TestT3ReclaimsInTime: the lease is extended in time, however wrong this
// machine's clock is. The queue tells the time in whole seconds, which blurs a
// lease as short as this one.
func TestT3ReclaimsInTime(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{0, 3 * time.Hour, -24 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			const lease = 20 * time.Second
			s := newSite(t, queuetest.FakeOptions{Lease: lease, Skew: skew}, func(w *worker.Worker) { w.Config.CancelCheck = time.Minute })
			s.start()
			id := s.fake.AddTask(shell("sleep 22"))
			if got := outcome(s.resolved(id, 0)); got != "completed" {
				t.Errorf("the task ended as %s", got)
			}
			var claimed, reclaimed time.Time
			for _, c := range s.fake.Calls() {
				switch {
				case c.Endpoint == "claimWork" && reclaimed.IsZero():
					claimed = c.At // the last before
				case c.Endpoint == "reclaimTask" && reclaimed.IsZero():
					reclaimed = c.At
				}
			}
			if after := reclaimed.Sub(claimed); after < lease/2 {
				t.Errorf("reclaimed after %v", after)
			}
		})
	}
}
