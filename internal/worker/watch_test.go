package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
)

type watch func(context.Context, features.Watched) ([]features.Figure, error)

// TestWatch has features beside commands.
func TestWatch(t *testing.T) {
	t.Parallel()
	waits := func(figures ...features.Figure) watch {
		return func(ctx context.Context, _ features.Watched) ([]features.Figure, error) {
			<-ctx.Done()
			return figures, nil
		}
	}
	for _, row := range []struct {
		name    string
		watches []watch
		script  string
		want    string
		log     []string
	}{
		{
			"figures of two features, one of which replaces a line", []watch{
				waits(features.Figure{Label: "Peak Memory", Value: "a lot"}), waits(features.Figure{Label: "Something With a Label Beyond the Usual", Value: "7"}),
			}, "true", "completed", []string{
				"]                                Exit Code: 0\n", "]                              Peak Memory: a lot\n", "]  Something With a Label Beyond the Usual: 7\n", "]                                   Result: SUCCEEDED\n",
			},
		},
		{
			"an error ends the command", []watch{waits(), func(context.Context, features.Watched) ([]features.Figure, error) {
				return nil, task.Errorf(task.Failed, "too much of something")
			}}, "sleep 600", "failed", []string{"Command ABORTED after", "too much of something"},
		},
		{
			"an error after the command", []watch{func(ctx context.Context, _ features.Watched) ([]features.Figure, error) {
				<-ctx.Done()
				return nil, errors.New("too late")
			}}, "true", "completed", []string{"Result: SUCCEEDED"},
		},
		{
			"a panic",
			[]watch{func(context.Context, features.Watched) ([]features.Figure, error) { panic("boom") }},
			"sleep 600", "exception/internal-error",
			[]string{"boom"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
				for _, f := range row.watches {
					w.Features = append(w.Features, hooks("watching", features.Hooks{Watch: f}))
				}
			}).start()
			run := s.resolved(s.fake.AddTask(shell(row.script)), 0)
			if got := outcome(run); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
			log := logOf(t, run)
			for _, text := range row.log {
				if !strings.Contains(log, text) {
					t.Errorf("the log does not say %q:\n%s", text, log)
				}
			}
		})
	}
}

// TestWatchSeesEveryCommand counts commands.
func TestWatchSeesEveryCommand(t *testing.T) {
	t.Parallel()
	var seen []int
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
		w.Features = append(w.Features, hooks("watching", features.Hooks{
			Watch: func(ctx context.Context, c features.Watched) ([]features.Figure, error) {
				<-ctx.Done()
				if used := c.Usage(); used.Wall <= 0 {
					t.Errorf("got %+v", used)
				}
				seen = append(seen, c.Index)
				return nil, nil
			},
		}))
	}).start()
	run := s.resolved(s.fake.AddTask(map[string]any{"maxRunTime": 60, "command": [][]string{{"true"}, {"true"}, {"false"}, {"true"}}}), 0)
	if outcome(run) != "failed" || len(seen) != 3 || seen[2] != 2 {
		t.Errorf("resolved as %s, seen %v", outcome(run), seen)
	}
}
