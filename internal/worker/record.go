package worker

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
)

// settle deals with what an earlier process left when it was killed: the runs
// it had are given back to the queue at once, if their claims still hold.
func (w *Worker) settle(ctx context.Context) {
	for _, claim := range w.journal.Unfinished() {
		log := w.Log.With("taskId", claim.TaskID, "runId", claim.RunID)
		ours, err := w.settleRun(ctx, claim)
		if !ours {
			log.Info("this worker was killed right after it had reported a task, or the task was canceled meanwhile")
			continue
		}
		if err != nil {
			log.Warn("this worker was killed while it ran a task; the queue retries it when the claim runs out", "error", err)
			continue
		}
		log.Warn("this worker was killed while it ran a task; the task was given back to the queue and is retried")
	}
}

// settleRun gives one run back, unless the queue no longer has it as ours: it
// may have been reported just before the kill.
func (w *Worker) settleRun(ctx context.Context, claim queue.Claim) (ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if running, err := w.Queue.Running(ctx, claim); err == nil && !running {
		return false, nil
	}
	return true, w.Queue.Resolve(ctx, claim, task.WorkerShutdown.Outcome())
}

// settleLimit bounds the report of one run that was cut off.
const settleLimit = 30 * time.Second

// runRecorded runs a task with a note of it in the journal.
func (w *Worker) runRecorded(ctx context.Context, claim queue.Claim) task.Resolution {
	if !w.journal.Enter(claim) {
		w.Log.Error("the queue handed out a run that is running here already; it is left alone", "taskId", claim.TaskID, "runId", claim.RunID)
		return task.Canceled
	}
	if started := w.Observer.Started; started != nil {
		start := task.Start{TaskID: claim.TaskID, RunID: claim.RunID, Created: time.Time(claim.Definition.Created), Claimed: claim.Received}
		w.contain(claim, func() { started(start) })
	}
	summary := task.Summary{TaskID: claim.TaskID, RunID: claim.RunID, Claimed: claim.Received, Resolution: task.InternalError}
	if w.contain(claim, func() { summary = w.runTask(ctx, claim) }) {
		w.giveBack(ctx, claim, summary.Resolution)
	}
	if err := w.journal.Leave(claim); err != nil {
		w.Log.Error("cannot note that a run is over", "taskId", claim.TaskID, "runId", claim.RunID, "error", err)
	}
	if ended := w.Observer.Ended; ended != nil {
		w.contain(claim, func() { ended(summary) })
	}
	return summary.Resolution
}

// contain is the last barrier of a run's goroutine, for what panics outside of
// its stages; it tells whether something did.
func (w *Worker) contain(claim queue.Claim, f func()) (panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			w.Log.Error("a panic was contained", "taskId", claim.TaskID, "runId", claim.RunID, "panic", p, "stack", string(debug.Stack()))
			panicked = true
		}
	}()
	f()
	return false
}
