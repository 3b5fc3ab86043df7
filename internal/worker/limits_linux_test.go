package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
	"github.com/taskcluster/generic-worker/process/usage"
)

// TestP3MemoryHog has a command use more memory than it may, where the command
// itself does not notice.
func TestP3MemoryHog(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.Limits = usage.Limits{Memory: 64 << 20} }).start()
	run := s.resolved(s.fake.AddTask(shell("cat /proc/self/oom_score_adj; tail /dev/zero; echo survived; exit 0")), 0)
	log := logOf(t, run)
	said := regexp.MustCompile(`\[taskcluster:error\] command 0: out of memory: limit 64\.00 MiB, peak [0-9.]+ [MG]iB, killed (tail|sh) \(pid \d+\); use less, or ask the pool's owner for more \(taskLimits\)`)
	if outcome(run) != "failed" || !said.MatchString(log) || !strings.Contains(log, "Result: FAILED") {
		t.Errorf("resolved as %s:\n%s", outcome(run), log)
	}
	if !strings.Contains(log, "\n500\n") {
		t.Errorf("the command's place among those to kill is not 500:\n%s", log)
	}
	if got := outcome(s.resolved(s.fake.AddTask(shell("true")), 0)); got != "completed" {
		t.Errorf("the next task ended as %s", got)
	}
}

// TestP2ForkBomb has a task start more than it may beside another, which goes
// on. A real bomb is in the tests of package process: not every machine has what
// holds one.
func TestP2ForkBomb(t *testing.T) {
	t.Parallel()
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
		w.Config.Capacity = 2
		w.Config.Limits = usage.Limits{Processes: 200}
	}).start()
	marker := t.TempDir() + "/started"
	beside := s.fake.AddTask(shell("touch " + marker + "; for i in $(seq 100); do sleep 0.01; done"))
	appears(t, marker)
	run := s.resolved(s.fake.AddTask(shell("for i in $(seq 250); do sleep 3600 & done; wait")), 0)
	if log := logOf(t, run); outcome(run) != "failed" || !strings.Contains(log, "command 0: process limit reached: limit 200, peak 2") {
		t.Errorf("resolved as %s:\n%s", outcome(run), log)
	}
	if got := outcome(s.resolved(beside, 0)); got != "completed" {
		t.Errorf("the other task ended as %s", got)
	}
}

// TestP3WhatRunsBeside has a feature start something beside the task's commands,
// as shells are: it may use no more than they.
func TestP3WhatRunsBeside(t *testing.T) {
	t.Parallel()
	var place bytes.Buffer
	ended := make(chan error, 1)
	beside := hooks("beside", features.Hooks{})
	beside.attach = func(run *task.Run) (features.Hooks, error) {
		return features.Hooks{Prepare: func(ctx context.Context) error {
			command := run.Session.Beside([]string{"/bin/sh", "-c", "cat /proc/self/oom_score_adj; exec tail /dev/zero"}, run.Environment())
			command.Output = &place
			_, err := command.Run(ctx)
			ended <- err
			return nil
		}}, nil
	}
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) {
		w.Config.Limits = usage.Limits{Memory: 64 << 20}
		w.Features = append(w.Features, beside)
	}).start()
	if got := outcome(s.resolved(s.fake.AddTask(shell("true")), 0)); got != "completed" {
		t.Errorf("resolved as %s", got)
	}
	if err := <-ended; !strings.HasPrefix(place.String(), "500\n") || !strings.Contains(fmt.Sprint(err), "out of memory: limit 64.00 MiB") {
		t.Errorf("its place among those to kill is %q, and it ended for %v", &place, err)
	}
}

// TestSpareTasks leaves the order of processes to kill alone. Others would start
// in the place of commands that are started in this process at the same time.
func TestSpareTasks(t *testing.T) {
	s := newSite(t, queuetest.FakeOptions{}, func(w *worker.Worker) { w.Config.SpareTasks = true }).start()
	if log := logOf(t, s.resolved(s.fake.AddTask(shell("cat /proc/self/oom_score_adj")), 0)); !strings.Contains(log, "\n0\n") {
		t.Errorf("the command's place is not the usual one:\n%s", log)
	}
}
