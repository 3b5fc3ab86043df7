package worker

import (
	"context"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
)

// runTask takes one claimed run from its claim to its resolution. An abort
// (time limit, shutdown, lost claim) ends ctx with a cause that says how the
// run resolves; cleaning up outlives it.
func (w *Worker) runTask(work context.Context, claim queue.Claim) task.Summary {
	ctx, abort := context.WithCancelCause(work)
	defer abort(nil)
	lease := w.lease(claim, abort) // reclaims until released; claim lost: abort(task.Canceled)
	defer lease.release()

	r := w.begin(lease) // open the log: from here every error reaches the author
	err := r.enter(ctx) // parse payload, open session, attach features
	if err == nil {
		err = r.prepare(ctx) // Hooks.Prepare, in order
	}
	if err == nil {
		err = r.commands(ctx) // the task's commands, one by one
		r.hold(ctx, err)      // Hooks.Hold: a failed one may be kept for people to look at
	}
	ctx, done := w.aftermath(work, lease) // an aborted task still uploads and cleans up
	defer done()
	err = task.First(err, r.finish(ctx, err)) // Hooks.Finish, reversed
	err = task.First(err, r.seal(ctx, err))   // close the log; Hooks.Seal: log, certificate
	summary := r.resolve(ctx, err)            // tell the queue, once
	r.close(ctx)                              // Hooks.Close, reversed; its errors are the worker's, not the task's
	return summary
}
