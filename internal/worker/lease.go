package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
)

// lease keeps a claim alive. All times are by the monotonic clock, so that a
// wrong or jumping clock neither loses a claim nor keeps a lost one.
type lease struct {
	worker  *Worker
	log     *slog.Logger
	lost    context.Context // done once the run is not ours (cause task.Canceled), or cannot be kept
	lose    context.CancelCauseFunc
	stop    context.CancelFunc
	stopped chan struct{}

	mu    sync.Mutex
	claim queue.Claim
}

// lease keeps reclaiming the run until it is released. When the run is no
// longer ours, abort is called with the reason.
func (w *Worker) lease(claim queue.Claim, abort context.CancelCauseFunc) *lease {
	ctx, stop := context.WithCancel(context.Background())
	lost, lose := context.WithCancelCause(context.Background())
	l := &lease{
		worker: w, log: w.Log.With("taskId", claim.TaskID, "runId", claim.RunID),
		lost: lost, lose: lose, stop: stop, stopped: make(chan struct{}), claim: claim,
	}
	context.AfterFunc(lost, func() { abort(context.Cause(lost)) })
	go l.keep(ctx)
	return l
}

// release stops reclaiming; the claim is not looked after any more when it returns.
func (l *lease) release() {
	l.stop()
	<-l.stopped
}

// get returns the newest claim.
func (l *lease) get() queue.Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claim
}

func (l *lease) set(claim queue.Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claim = claim
}

// keep reclaims and checks in turn until ctx is done or the claim is lost.
func (l *lease) keep(ctx context.Context) {
	defer close(l.stopped)
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("a panic was contained", "panic", p, "stack", string(debug.Stack()))
			l.lose(task.Errorf(task.InternalError, "internal error in the worker: %v", p))
		}
	}()
	deadline := l.deadline()
	reclaim := reclaimTime(l.get())
	check := time.Now().Add(l.worker.Config.CancelCheck)
	for l.lost.Err() == nil {
		next := reclaim
		for _, t := range []time.Time{check, deadline} {
			if t.Before(next) {
				next = t
			}
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		switch next {
		case deadline:
			l.lose(task.Errorf(task.Canceled, "the task's deadline %v has passed", l.get().Definition.Deadline))
		case reclaim:
			reclaim = l.reclaim(ctx)
			check = time.Now().Add(l.worker.Config.CancelCheck) // a reclaim tells as much as a check
		default:
			l.check(ctx)
			check = time.Now().Add(l.worker.Config.CancelCheck)
		}
	}
}

// reclaimTime is a moment between 60 and 75 % of the lease: early enough to try
// again, late enough not to bother the queue, and not the same for all workers.
func reclaimTime(claim queue.Claim) time.Time {
	lease := claim.Expires.Sub(claim.Received)
	return claim.Received.Add(time.Duration(float64(lease) * (0.60 + 0.15*rand.Float64())))
}

// deadline is the task's deadline by this machine's clock.
func (l *lease) deadline() time.Time {
	claim := l.get()
	deadline := time.Time(claim.Definition.Deadline)
	if deadline.IsZero() {
		return time.Now().Add(365 * 24 * time.Hour)
	}
	return claim.Expires.Add(deadline.Sub(claim.TakenUntil))
}

// reclaim extends the claim and returns when to do so next. The queue may be
// out of reach for as long as the lease lasts.
func (l *lease) reclaim(ctx context.Context) time.Time {
	claim := l.get()
	ctx, cancel := context.WithDeadline(ctx, claim.Expires)
	defer cancel()
	newer, err := l.worker.Queue.Reclaim(ctx, claim)
	switch {
	case err == nil:
		l.set(newer)
		l.worker.journal.Record(newer)
		return reclaimTime(newer)
	case errors.Is(err, queue.ErrConflict), errors.Is(err, queue.ErrNotFound):
		l.lose(task.Errorf(task.Canceled, "the queue says this run is no longer ours: it was canceled, or passed its deadline (%w)", err))
	case time.Until(claim.Expires) <= 0:
		l.lose(task.Errorf(task.Canceled, "the claim ran out while the queue could not be reached (%w)", err))
	default:
		l.log.Warn("cannot reclaim; the task goes on until its claim runs out", "error", err, "left", time.Until(claim.Expires).Round(time.Second))
	}
	left := time.Until(claim.Expires)
	return time.Now().Add(min(left, max(left/4, time.Second)))
}

// check asks whether the run is still wanted. Only a clear no counts: whatever
// else goes wrong is for the next reclaim to find out.
func (l *lease) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.worker.Config.CancelCheck)
	defer cancel()
	running, err := l.worker.Queue.Running(ctx, l.get())
	switch {
	case err != nil && ctx.Err() == nil:
		l.log.Info("cannot ask whether the task was canceled", "error", err)
	case err == nil && !running:
		l.lose(task.Errorf(task.Canceled, "the queue no longer wants this run: it was canceled, or passed its deadline"))
	}
}
