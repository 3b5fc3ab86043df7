package worker_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
)

// TestResolutions is the table of how situations resolve.
func TestResolutions(t *testing.T) {
	t.Parallel()
	fails := func(name string, err error) func(*worker.Worker) {
		return func(w *worker.Worker) {
			hook := func(context.Context) error { return err }
			var h features.Hooks
			switch name {
			case "prepare":
				h.Prepare = hook
			case "finish":
				h.Finish = func(context.Context, task.Resolution) error { return err }
			case "seal":
				h.Seal = hook
			case "close":
				h.Close = hook
			}
			w.Features = append(w.Features, hooks("broken", h))
		}
	}
	panics := func(w *worker.Worker) {
		w.Features = append(w.Features, hooks("panics", features.Hooks{Prepare: func(context.Context) error { panic("boom") }}))
	}
	for _, row := range []struct {
		name    string
		payload map[string]any
		edit    func(*worker.Worker)
		want    string
		log     string // what the author must be told
	}{
		{name: "success", payload: shell("echo hello"), want: "completed", log: "hello"},
		{name: "non-zero exit", payload: shell("exit 3"), want: "failed", log: "command 0 exited with 3"},
		{name: "later commands are not run", payload: map[string]any{"maxRunTime": 60, "command": [][]string{{"false"}, {"echo", "never"}}}, want: "failed", log: "command 0 exited with 1"},
		{name: "retry code", payload: shell("exit 75", with("onExitStatus", map[string]any{"retry": []int{75}})), want: "exception/intermittent-task", log: "onExitStatus.retry"},
		{name: "other code beside a retry code", payload: shell("exit 74", with("onExitStatus", map[string]any{"retry": []int{75}})), want: "failed"},
		{name: "retry code in a list", payload: shell("exit 75", with("onExitStatus", map[string]any{"retry": []int{1, 75, 255}})), want: "exception/intermittent-task", log: "onExitStatus.retry"},
		{name: "retry code of a later command", payload: map[string]any{"maxRunTime": 60, "command": [][]string{{"true"}, {"sh", "-c", "exit 75"}}, "onExitStatus": map[string]any{"retry": []int{75}}}, want: "exception/intermittent-task", log: "command 1 exited with 75"},
		{name: "success beside a retry code", payload: shell("true", with("onExitStatus", map[string]any{"retry": []int{75}})), want: "completed"},
		{name: "no retry codes", payload: shell("exit 75", with("onExitStatus", map[string]any{"retry": []int{}})), want: "failed", log: "command 0 exited with 75"},
		{name: "retry code of a signal", payload: shell("kill -9 $$", with("onExitStatus", map[string]any{"retry": []int{137}})), want: "exception/intermittent-task", log: "onExitStatus.retry"},
		{name: "negative retry code", payload: shell("exit 1", with("onExitStatus", map[string]any{"retry": []int{-1}})), want: "exception/malformed-payload", log: "/onExitStatus/retry/0: must be at least 1"},
		{name: "success as a retry code", payload: shell("true", with("onExitStatus", map[string]any{"retry": []int{0}})), want: "exception/malformed-payload", log: "/onExitStatus/retry/0: must be at least 1"},
		{name: "retry code twice", payload: shell("exit 1", with("onExitStatus", map[string]any{"retry": []int{1, 1}})), want: "exception/malformed-payload", log: "/onExitStatus/retry: has the same item at 0 and at 1"},
		{name: "negative purge code", payload: shell("exit 1", with("onExitStatus", map[string]any{"purgeCaches": []int{-1}})), want: "exception/malformed-payload", log: "/onExitStatus/purgeCaches/0: must be at least 0"},
		{name: "superseder", payload: shell("true", with("supersederUrl", "https://example.com/x")), want: "completed", log: "supersederUrl is ignored"},
		{name: "name of a feature's artifact", payload: shell("true", with("artifacts", []any{map[string]any{"type": "file", "path": "a", "name": "public/x"}})), edit: func(w *worker.Worker) {
			w.Features = append(w.Features, hooks("one", features.Hooks{Reserves: []string{"public/x"}}))
		}, want: "exception/malformed-payload", log: `artifact "public/x" of the payload has a name that one publishes; give it another name`},
		{name: "payload for docker-worker", payload: inImage("echo hello"), want: "completed", log: "The image ubuntu:24.04 is not used"},
		{name: "payload for docker-worker that fails", payload: inImage("exit 4", with("onExitStatus", map[string]any{"retry": []int{4}})), want: "exception/intermittent-task"},
		{name: "payload for a container", payload: inImage("true", with("capabilities", map[string]any{"privileged": true})), want: "exception/malformed-payload", log: "/capabilities/privileged: asks for a container with all rights on the machine"},
		{name: "refused payload for generic-worker", payload: shell("true"), edit: func(w *worker.Worker) { w.Config.RefuseNative = true }, want: "exception/malformed-payload", log: "takes only payloads for docker-worker; write the task's payload for it"},
		{name: "only payloads for docker-worker", payload: inImage("true"), edit: func(w *worker.Worker) { w.Config.RefuseNative = true }, want: "completed"},
		{name: "refused payload for docker-worker", payload: inImage("true"), edit: func(w *worker.Worker) { w.Config.RefuseDocker = true }, want: "exception/malformed-payload", log: "takes no payloads for docker-worker; send the task to a pool that does"},
		{name: "caches this pool lacks", payload: inImage("true", with("cache", map[string]any{"c": "/c"})), want: "exception/malformed-payload", log: "asks for cache, which"},
		{name: "what a payload for docker-worker gets in another way", payload: inImage("true", with("artifacts", map[string]any{"a": map[string]any{"type": "file", "path": "/a"}})), want: "completed", log: "artifact a is taken from /a of this machine"},
		{name: "missing scope of docker-worker", payload: inImage("true"), edit: scoped("docker-worker:cache:c"), want: "exception/malformed-payload", log: "cache needs the scope docker-worker:cache:c"},
		{name: "no such program", payload: map[string]any{"maxRunTime": 60, "command": [][]string{{"no-such-program"}}}, want: "failed", log: "check that the program exists"},
		{name: "not executable", payload: map[string]any{"maxRunTime": 60, "command": [][]string{{"/etc/passwd"}}}, want: "failed", log: "check that the program exists"},
		{name: "task directory removed", payload: map[string]any{"maxRunTime": 60, "command": [][]string{{"sh", "-c", "rm -rf \"$TASK_WORKDIR\""}, {"true"}}}, want: "failed", log: "the task directory is gone"},
		{name: "killed by a signal", payload: shell("kill -9 $$"), want: "failed", log: "137"},
		{name: "out of time", payload: shell("sleep 60", with("maxRunTime", 1)), want: "failed", log: "raise maxRunTime"},
		{name: "schema violation", payload: map[string]any{"maxRunTime": 60}, want: "exception/malformed-payload", log: "command"},
		{name: "unknown key", payload: shell("true", with("maxRuntime", 60)), want: "exception/malformed-payload", log: "maxRunTime"},
		{name: "longer than the pool allows", payload: shell("true", with("maxRunTime", 7200)), want: "exception/malformed-payload", log: "lower it or ask the pool's owner"},
		{name: "feature this pool lacks", payload: shell("true", with("features", map[string]any{"interactive": true})), want: "exception/malformed-payload", log: "asks for interactive"},
		{name: "feature refuses the task", payload: shell("true"), edit: fails("prepare", task.Errorf(task.MalformedPayload, "no such cache")), want: "exception/malformed-payload", log: "no such cache"},
		{name: "infrastructure fault while preparing", payload: shell("true"), edit: fails("prepare", task.Errorf(task.ResourceUnavailable, "no network")), want: "exception/resource-unavailable", log: "no network"},
		{name: "fault of ours", payload: shell("true"), edit: fails("prepare", errBroken), want: "exception/internal-error", log: "something of ours is broken"},
		{name: "panic in a feature", payload: shell("true"), edit: panics, want: "exception/internal-error", log: "boom"},
		{name: "upload impossible", payload: shell("true"), edit: fails("finish", task.Errorf(task.ResourceUnavailable, "storage is away")), want: "exception/resource-unavailable", log: "storage is away"},
		{name: "first error decides", payload: shell("exit 1"), edit: fails("finish", task.Errorf(task.ResourceUnavailable, "storage is away")), want: "failed", log: "command 0 exited with 1"},
		{name: "log cannot be published", payload: shell("true"), edit: fails("seal", task.Errorf(task.ResourceUnavailable, "storage is away")), want: "exception/resource-unavailable"},
		{name: "cleaning up fails", payload: shell("true"), edit: fails("close", errBroken), want: "completed"},
		{name: "engine cannot make a place", payload: shell("true"), edit: func(w *worker.Worker) { w.Engine = brokenEngine{} }, want: "exception/internal-error", log: "cannot make a place"},
		{name: "missing scope", payload: shell("true"), edit: func(w *worker.Worker) {
			w.Features = append(w.Features, hooks("scoped", features.Hooks{Scopes: []string{"generic-worker:thing"}}))
		}, want: "exception/malformed-payload", log: "needs the scope generic-worker:thing"},
		{name: "none of the scopes of which one is needed", payload: shell("true"), edit: func(w *worker.Worker) {
			w.Features = append(w.Features, hooks("scoped", features.Hooks{AnyScope: []string{"generic-worker:thing:a/b", "generic-worker:thing"}}))
		}, want: "exception/malformed-payload", log: "needs the scope generic-worker:thing:a/b or generic-worker:thing; add it"},
		{name: "two features want one name", payload: shell("true"), edit: func(w *worker.Worker) {
			h := features.Hooks{Reserves: []string{"public/x"}}
			w.Features = append(w.Features, hooks("one", h), hooks("two", h))
		}, want: "exception/malformed-payload", log: "give one of them another name"},
		{name: "background process holds the output", payload: shell("sleep 600 & echo done"), want: "completed", log: "were still running and were killed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			edit := row.edit
			if edit == nil {
				edit = func(*worker.Worker) {}
			}
			s := newSite(t, queuetest.FakeOptions{}, edit).start()
			run := s.resolved(s.fake.AddTask(row.payload), 0)
			if got := outcome(run); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
			if log := logOf(t, run); !strings.Contains(log, row.log) || !strings.Contains(log, "=== Task Finished ===") {
				t.Errorf("the log does not say %q:\n%s", row.log, log)
			}
			// Whatever happened, the worker goes on.
			if got := outcome(s.resolved(s.fake.AddTask(shell("true", with("maxRunTime", 5))), 0)); row.edit == nil && got != "completed" {
				t.Errorf("the next task ended as %s", got)
			}
		})
	}
}

// inImage is a payload for docker-worker.
func inImage(script string, changes ...func(map[string]any)) map[string]any {
	p := map[string]any{"image": "ubuntu:24.04", "command": []string{"sh", "-c", script}, "maxRunTime": 60}
	for _, change := range changes {
		change(p)
	}
	return p
}

// scoped is a worker with caches that need scopes.
func scoped(scopes ...string) func(*worker.Worker) {
	return func(w *worker.Worker) {
		w.Features = append(w.Features, hooks("mounts", features.Hooks{Scopes: scopes}))
	}
}

// TestEitherPrefix: in a payload for docker-worker, scopes of docker-worker and
// of generic-worker stand for each other, and in others they do not.
func TestEitherPrefix(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		payload       map[string]any
		given, wanted string
		want          string
	}{
		{inImage("true"), "docker-worker:cache:c", "docker-worker:cache:c", "completed"},
		{inImage("true"), "generic-worker:cache:c", "docker-worker:cache:c", "completed"},
		{inImage("true"), "docker-worker:cache:*", "generic-worker:cache:c", "completed"},
		{inImage("true"), "docker-worker:cache:d", "docker-worker:cache:c", "exception/malformed-payload"},
		{inImage("true"), "worker:cache:c", "docker-worker:cache:c", "exception/malformed-payload"},
		{shell("true"), "docker-worker:cache:c", "generic-worker:cache:c", "exception/malformed-payload"},
	} {
		t.Run(row.given+" for "+row.wanted, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{}, scoped(row.wanted)).start()
			if got := outcome(s.resolved(s.fake.AddTask(row.payload, with("scopes", []string{row.given})), 0)); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
		})
	}
}

// TestCanceledRunsAreNotReported: a lost claim stops the processes, reports and
// uploads nothing.
func TestCanceledRunsAreNotReported(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*site, string){
		"canceled":         func(s *site, id string) { s.fake.Cancel(id) },
		"deadline":         func(s *site, id string) { s.fake.ExpireDeadline(id) },
		"given to another": func(s *site, id string) { s.fake.ExpireClaim(id) },
		"reclaim conflicts": func(s *site, _ string) {
			s.fake.Inject(queuetest.Fault{Endpoint: "reclaimTask", Kind: queuetest.FaultStatus, Status: 409})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{Lease: 3 * time.Second})
			ended := make(chan task.Summary, 8)
			s.worker.Observer.Ended = func(summary task.Summary) { ended <- summary }
			s.start()
			marker := t.TempDir() + "/started"
			id := s.fake.AddTask(shell("touch "+marker+"; sleep 600"), with("retries", 0))
			appears(t, marker)
			lose(s, id)
			select {
			case summary := <-ended:
				if summary.Resolution != task.Canceled {
					t.Errorf("ended as %v: %v", summary.Resolution, summary.Err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the task goes on")
			}
			for _, call := range s.fake.Calls() {
				if call.TaskID == id && (strings.HasPrefix(call.Endpoint, "report") || call.Endpoint == "createArtifact") {
					t.Errorf("%s was called for a run that is not ours", call.Endpoint)
				}
			}
		})
	}
}

// TestShutdown: an abort resolves what runs as worker-shutdown, a drain lets it
// end, and a claim that is answered meanwhile is given back.
func TestShutdown(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		end  func(*site)
		want string
		stop worker.Stop
	}{
		"abort": {func(s *site) { s.abort(errShutdown) }, "exception/worker-shutdown", worker.Aborted},
		"drain": {func(s *site) { s.drain() }, "completed", worker.Drained},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{}).start()
			dir := t.TempDir()
			id := s.fake.AddTask(shell("touch " + dir + "/started; while [ ! -e " + dir + "/go ]; do sleep 0.01; done"))
			appears(t, dir+"/started")
			row.end(s)
			touch(t, dir+"/go")
			if got := outcome(s.resolved(id, 0)); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
			if got := s.wait(); got != row.stop {
				t.Errorf("stopped for reason %d, not %d", got, row.stop)
			}
		})
	}
}

// TestL4AClaimUnderWayIsGivenBack: the answer of a claim that was under way when
// the worker was told to stop is awaited, and its tasks are given back.
func TestL4AClaimUnderWayIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{LongPoll: 20 * time.Second}).start()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.fake.WaitCalls(ctx, func(calls []queuetest.Call) bool { return len(calls) > 0 }); err != nil {
		t.Fatal(err)
	}
	s.abort(errShutdown)
	id := s.fake.AddTask(shell("true"))
	if got := outcome(s.resolved(id, 0)); got != "exception/worker-shutdown" {
		t.Errorf("resolved as %s", got)
	}
	if got := s.wait(); got != worker.Aborted {
		t.Errorf("stopped for reason %d", got)
	}
}

// TestAbortWhileTheTaskIsSetUp: what is set up when the worker is told to stop
// runs no command.
func TestAbortWhileTheTaskIsSetUp(t *testing.T) {
	t.Parallel()
	var s *site
	s = newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
		w.Features = append(w.Features, hooks("slow", features.Hooks{Prepare: func(ctx context.Context) error {
			s.abort(errShutdown)
			<-ctx.Done()
			return nil
		}}))
	})
	marker := t.TempDir() + "/started"
	id := s.fake.AddTask(shell("touch " + marker))
	if got := outcome(s.start().resolved(id, 0)); got != "exception/worker-shutdown" {
		t.Errorf("resolved as %s", got)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the command was started")
	}
}

// TestAbortOfSeveralTasks: with tasks running and slots free, a worker that is
// told to stop gives all of them back and ends.
func TestAbortOfSeveralTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.Capacity = 3 }).start()
	dir := t.TempDir()
	var ids []string
	for _, name := range []string{"/one", "/two"} {
		ids = append(ids, s.fake.AddTask(shell("touch "+dir+name+"; sleep 600")))
		appears(t, dir+name)
	}
	s.abort(errShutdown)
	for _, id := range ids {
		if got := outcome(s.resolved(id, 0)); got != "exception/worker-shutdown" {
			t.Errorf("resolved as %s", got)
		}
	}
	if got := s.wait(); got != worker.Aborted {
		t.Errorf("stopped for reason %d", got)
	}
}

// TestResolvedBeforeReport: a run that the queue had resolved when its end was
// reported is canceled, not what its commands made of it.
func TestResolvedBeforeReport(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{})
	ended := make(chan task.Summary, 8)
	s.worker.Observer.Ended = func(summary task.Summary) { ended <- summary }
	s.fake.Inject(queuetest.Fault{Endpoint: "reportCompleted", Kind: queuetest.FaultStatus, Status: 409})
	s.start()
	s.fake.AddTask(shell("true"))
	select {
	case summary := <-ended:
		if summary.Resolution != task.Canceled || summary.Reported {
			t.Errorf("ended as %v, reported: %v", summary.Resolution, summary.Reported)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the task does not end")
	}
}

// TestSealKnowsTheResolution: who vouches for a run hears how it ends, also when
// it is what was sealed before that decides.
func TestSealKnowsTheResolution(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		payload map[string]any
		before  error // of another feature's Seal
		want    task.Resolution
	}{
		"completed":                {shell("true"), nil, task.Completed},
		"failed":                   {shell("exit 1"), nil, task.Failed},
		"malformed":                {map[string]any{}, nil, task.MalformedPayload},
		"the log is not published": {shell("true"), task.Errorf(task.ResourceUnavailable, "storage is away"), task.ResourceUnavailable},
		"failed, and the log too":  {shell("exit 1"), task.Errorf(task.ResourceUnavailable, "storage is away"), task.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan task.Resolution, 1)
			vouches := staged{name: "vouches", attach: func(run *task.Run) (features.Hooks, error) {
				return features.Hooks{Seal: func(context.Context) error { told <- run.Resolution; return nil }}, nil
			}}
			s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
				w.Features = append(w.Features, hooks("log", features.Hooks{Seal: func(context.Context) error { return row.before }}), vouches)
			}).start()
			got := outcome(s.resolved(s.fake.AddTask(row.payload), 0))
			if so := <-told; so != row.want || got != so.String() {
				t.Errorf("Seal was told %v, the queue %s; want %v", so, got, row.want)
			}
		})
	}
}
