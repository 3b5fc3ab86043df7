package site

import (
	"context"
	"errors"
	"time"

	"github.com/taskcluster/generic-worker/features/mounts"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/fetch"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/inputs"
	"github.com/taskcluster/generic-worker/internal/task"
)

// mounts is what the feature is told; nil if mounts are not offered.
func (s *Site) mounts(cfg *config.Config, client *queue.Client, store *cache.Store) *mounts.Config {
	if cfg.Features.Mounts == nil {
		return nil
	}
	wanted := *cfg.Features.Mounts
	wanted.Absolute = true // a task could write there anyway: it is the same user
	wanted.Store = store
	wanted.Client = &fetch.Client{Log: s.log}
	s.closers = append(s.closers, func() error {
		wanted.Client.CloseIdle()
		return nil
	})
	wanted.Inputs = asker{inputs.Source{Client: client, TaskQueueID: cfg.Worker.Identity.TaskQueueID}}
	return &wanted
}

// asker asks the deployment for mounts.
type asker struct{ inputs.Source }

var _ mounts.Inputs = asker{}

// Artifact asks with the newest credentials of the run.
func (a asker) Artifact(ctx context.Context, run *task.Run, taskID, name string) (string, error) {
	url, err := a.Source.Artifact(ctx, func() queue.Credentials { return run.Claim().Credentials }, taskID, name)
	return url, blame(err)
}

// Indexed asks with the newest credentials of the run.
func (a asker) Indexed(ctx context.Context, run *task.Run, namespace string) (string, error) {
	taskID, err := a.Source.Indexed(ctx, func() queue.Credentials { return run.Claim().Credentials }, namespace)
	return taskID, blame(err)
}

// Purges keeps the latest request for each cache.
func (a asker) Purges(ctx context.Context, since time.Time) (map[string]time.Time, error) {
	requests, err := a.Source.Purges(ctx, since)
	latest := map[string]time.Time{}
	for _, r := range requests {
		if r.Before.After(latest[r.CacheName]) {
			latest[r.CacheName] = r.Before
		}
	}
	return latest, blame(err)
}

// blame marks what the task's author has to mend, and what may be different
// the next time: only intermittent-task is retried by the queue.
func blame(err error) error {
	failure, ok := errors.AsType[*inputs.Error](err)
	switch {
	case !ok:
		return err
	case failure.Infrastructure():
		return task.Errorf(task.IntermittentTask, "%w", err)
	}
	return task.Errorf(task.Failed, "%w", err)
}
