package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
)

// TestL9PanicsCostOneRun: wherever a feature panics, its run is resolved and
// the worker goes on.
func TestL9PanicsCostOneRun(t *testing.T) {
	t.Parallel()
	boom := func(context.Context) error { panic("boom") }
	for name, row := range map[string]struct {
		feature features.Feature
		want    string
	}{
		"attach":  {staged{name: "panics", attach: func(*task.Run) (features.Hooks, error) { panic("boom") }}, "exception/internal-error"},
		"prepare": {hooks("panics", features.Hooks{Prepare: boom}), "exception/internal-error"},
		"finish":  {hooks("panics", features.Hooks{Finish: func(context.Context, task.Resolution) error { panic("boom") }}), "exception/internal-error"},
		"seal":    {hooks("panics", features.Hooks{Seal: boom}), "exception/internal-error"},
		"close":   {hooks("panics", features.Hooks{Close: boom}), "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Features = append(w.Features, row.feature) }).start()
			for range 2 {
				if got := outcome(s.resolved(s.fake.AddTask(shell("true")), 0)); got != row.want {
					t.Errorf("resolved as %s, not %s", got, row.want)
				}
			}
		})
	}
}

// TestStagesInOrder: what is set up last is taken down first, and the log is
// sealed before what vouches for it.
func TestStagesInOrder(t *testing.T) {
	t.Parallel()
	var order []string
	noted := func(name string) features.Feature {
		note := func(stage string) func(context.Context) error {
			return func(context.Context) error {
				order = append(order, stage+" "+name)
				return nil
			}
		}
		return hooks(name, features.Hooks{
			Prepare: note("prepare"), Hold: note("hold"), Seal: note("seal"), Close: note("close"),
			Finish: func(ctx context.Context, _ task.Resolution) error { return note("finish")(ctx) },
		})
	}
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
		w.Config.TasksToRun = 1
		w.Features = append(w.Features, noted("a"), noted("b"))
	})
	s.fake.AddTask(shell("false"))
	s.start().wait()
	want := []string{"prepare a", "prepare b", "hold b", "hold a", "finish b", "finish a", "seal a", "seal b", "close b", "close a"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Error(diff)
	}
}

// TestQ11Partition: an outage shorter than the lease is not noticed by the
// task; one that outlives the lease stops it, reports nothing for it, and the
// worker takes the next task when the queue is back.
func TestQ11Partition(t *testing.T) {
	t.Parallel()
	away := []queuetest.Fault{
		{Endpoint: "reclaimTask", Kind: queuetest.FaultReset},
		{Endpoint: "status", Kind: queuetest.FaultReset},
	}
	t.Run("shorter than the lease", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, queuetest.FakeOptions{Lease: 20 * time.Second}).start()
		dir := t.TempDir()
		id := s.fake.AddTask(shell("touch " + dir + "/started; sleep 21"))
		appears(t, dir+"/started")
		s.fake.Inject(queuetest.Fault{Endpoint: "reclaimTask", Kind: queuetest.FaultReset, Max: 3}, queuetest.Fault{Endpoint: "status", Kind: queuetest.FaultReset, Max: 20})
		if got := outcome(s.resolved(id, 0)); got != "completed" {
			t.Errorf("resolved as %s", got)
		}
	})
	t.Run("longer than the lease", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, queuetest.FakeOptions{Lease: 3 * time.Second})
		ended := make(chan task.Summary, 8)
		s.worker.Observer.Ended = func(summary task.Summary) { ended <- summary }
		s.start()
		dir := t.TempDir()
		id := s.fake.AddTask(shell("touch "+dir+"/started; sleep 600"), with("retries", 0))
		appears(t, dir+"/started")
		s.fake.Inject(away...)
		select {
		case summary := <-ended:
			if summary.Resolution != task.Canceled || summary.Reported {
				t.Errorf("ended as %v, reported %v", summary.Resolution, summary.Reported)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the task goes on without a claim")
		}
		if run, _ := s.fake.Run(id, 0); run.Reason != "claim-expired" {
			t.Errorf("the run was resolved as %s %s", run.State, run.Reason)
		}
		s.fake.ClearFaults()
		if got := outcome(s.resolved(s.fake.AddTask(shell("true")), 0)); got != "completed" {
			t.Errorf("the next task ended as %s", got)
		}
	})
}

// TestQ1RandomRefusals: a queue that refuses one call in ten for a moment loses
// no task and changes no outcome.
func TestQ1RandomRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{Seed: 1}, func(w *worker.Worker) { w.Config.Capacity = 4 })
	s.fake.Inject(queuetest.Fault{Kind: queuetest.FaultStatus, Status: 503, Chance: 0.1})
	s.start()
	want := map[string]string{}
	for i := range 60 {
		want[s.fake.AddTask(shell(fmt.Sprintf("exit %d", i%2)))] = []string{"completed", "failed"}[i%2]
	}
	for id, outcomeWanted := range want {
		if got := outcome(s.resolved(id, 0)); got != outcomeWanted {
			t.Errorf("a task ended as %s, not %s", got, outcomeWanted)
		}
	}
	if v := s.fake.Violations(); len(v) > 0 {
		t.Errorf("the queue complains: %v", v)
	}
}

// TestN1NoCrossTalk: tasks that run at the same time see nothing of each other
// but the processes of their user.
func TestN1NoCrossTalk(t *testing.T) {
	t.Parallel()
	const tasks = 16
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.Capacity = 8 }).start()
	secrets := map[string]string{}
	for i := range tasks {
		secret := fmt.Sprintf("canary-%04d-end", i)
		id := s.fake.AddTask(shell("env; ls -a; echo $SECRET > mine; sleep 0.1; cat mine", with("env", map[string]string{"SECRET": secret})))
		secrets[id] = secret
	}
	for id := range secrets {
		run := s.resolved(id, 0)
		log := logOf(t, run)
		for other, secret := range secrets {
			if has := strings.Contains(log, secret); has != (other == id) {
				t.Errorf("the log of %s has the secret of %s: %v", id, other, has)
			}
		}
		if strings.Contains(log, "\nmine\n..") || outcome(run) != "completed" {
			t.Errorf("%s began with files of another task, or failed:\n%s", id, log)
		}
	}
}

// TestP4TimeLimit: a task is stopped soon after its limit and not before, and
// told both.
func TestP4TimeLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.Capacity = 4 })
	ended := make(chan task.Summary, 8)
	s.worker.Observer.Ended = func(summary task.Summary) { ended <- summary }
	s.start()
	for range 4 {
		s.fake.AddTask(shell("trap '' TERM; sleep 30 & while :; do sleep 1; done", with("maxRunTime", 1)))
	}
	for range 4 {
		summary := <-ended
		if summary.Resolution != task.Failed || !strings.Contains(summary.Err.Error(), "maxRunTime of 1s") {
			t.Errorf("ended as %v: %v", summary.Resolution, summary.Err)
		}
		for _, phase := range summary.Phases {
			if phase.Name == "commands" && (phase.Elapsed < time.Second || phase.Elapsed > 20*time.Second) {
				t.Errorf("stopped after %v", phase.Elapsed)
			}
		}
	}
}

// TestL3ShutdownCutsTheUploadNotTheReport: when the time of a shutdown is up,
// an upload that hangs is given up, and the run is still reported.
func TestL3ShutdownCutsTheUploadNotTheReport(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"while a command runs":           "touch $STARTED; sleep 600",
		"while what it left is uploaded": "touch $STARTED",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.ShutdownBudget = 500 * time.Millisecond })
			s.fake.Inject(queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultHang, Delay: time.Hour})
			s.start()
			started := t.TempDir() + "/started"
			id := s.fake.AddTask(shell(script, with("env", map[string]string{"STARTED": started})))
			appears(t, started)
			s.abort(errShutdown)
			if got := outcome(s.resolved(id, 0)); got != "exception/worker-shutdown" {
				t.Errorf("resolved as %s", got)
			}
			if got := s.wait(); got != worker.Aborted {
				t.Errorf("stopped for reason %d", got)
			}
		})
	}
}

// TestL3ShutdownDoesNotWaitForTheQueue: a queue that hangs keeps no worker that
// has to go.
func TestL3ShutdownDoesNotWaitForTheQueue(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Queue = hanging{w.Queue} }).start()
	started := t.TempDir() + "/started"
	s.fake.AddTask(shell("touch " + started + "; sleep 600"))
	appears(t, started)
	s.abort(errShutdown)
	if got := s.wait(); got != worker.Aborted {
		t.Errorf("stopped for reason %d", got)
	}
}

// hanging is a queue that takes no report.
type hanging struct{ worker.Queue }

func (hanging) Resolve(ctx context.Context, _ queue.Claim, _ queue.Outcome) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// panicky is a queue whose reclaims panic.
type panicky struct{ worker.Queue }

func (panicky) Reclaim(context.Context, queue.Claim) (queue.Claim, error) { panic("boom") }

// TestL9PanicsBesideTheStages: a panic while the claim is kept costs its run,
// and one of whoever is told of the run costs nothing.
func TestL9PanicsBesideTheStages(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		edit   func(*worker.Worker)
		script string
		want   string
	}{
		"reclaiming": {func(w *worker.Worker) { w.Queue = panicky{w.Queue} }, "sleep 600", "exception/internal-error"},
		"opening":    {func(w *worker.Worker) { w.Runs.Operator = nil }, "true", "exception/internal-error"},
		"starting":   {func(w *worker.Worker) { w.Observer.Started = func(task.Start) { panic("boom") } }, "true", "completed"},
		"telling":    {func(w *worker.Worker) { w.Observer.Ended = func(task.Summary) { panic("boom") } }, "true", "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{Lease: 3 * time.Second}, row.edit).start()
			for range 2 {
				if got := outcome(s.resolved(s.fake.AddTask(shell(row.script)), 0)); got != row.want {
					t.Errorf("resolved as %s, not %s", got, row.want)
				}
			}
		})
	}
}

// TestQ1RetryAfterOfAClaim: a queue that asks for time before the next claim gets it.
func TestQ1RetryAfterOfAClaim(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{})
	s.fake.Inject(queuetest.Fault{Endpoint: "claimWork", Kind: queuetest.FaultStatus, Status: 429, RetryAfter: 4 * time.Second, Max: 1})
	s.start()
	if got := outcome(s.resolved(s.fake.AddTask(shell("true")), 0)); got != "completed" {
		t.Errorf("resolved as %s", got)
	}
	var claims []time.Time
	for _, call := range s.fake.Calls() {
		if call.Endpoint == "claimWork" {
			claims = append(claims, call.At)
		}
	}
	if gap := claims[1].Sub(claims[0]); gap < 4*time.Second {
		t.Errorf("the next claim came after %v", gap)
	}
}
