package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// Claimed is a run that a worker has.
type Claimed struct {
	Status      Status
	RunID       int
	WorkerGroup string
	WorkerID    string
	TakenUntil  tcclient.Time
	// Scopes are the task's own.
	Scopes     []string
	Definition json.RawMessage
}

// Claim gives the worker up to n pending tasks, most urgent first. If there
// are none, it waits for one as long as it may, and then returns none.
func (l *Ledger) Claim(ctx context.Context, w queue.Worker, n int, wait time.Duration) ([]Claimed, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		arrival := l.arrival(w.TaskQueueID)
		claimed, err := l.claimPending(ctx, w, n)
		if len(claimed) > 0 || err != nil {
			return claimed, err
		}
		select {
		case <-arrival:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.hurry.Done():
			return nil, nil
		case <-l.store.Closing():
			return nil, disk.ErrClosed
		}
	}
}

func (l *Ledger) claimPending(ctx context.Context, w queue.Worker, n int) ([]Claimed, error) {
	waiting := false
	err := l.store.View(func(tx *bbolt.Tx) error {
		waiting = hasPrefix(tx.Bucket(bucketPending), pendingPrefix(w.TaskQueueID))
		return nil
	})
	if err != nil || !waiting {
		return nil, err
	}
	var claimed []Claimed
	err = l.store.Update(ctx, func(tx *bbolt.Tx) error {
		claimed = nil // a commit may be tried again
		now := time.Now()
		for _, taskID := range mostUrgent(tx, w.TaskQueueID, n) {
			t, err := l.find(tx, taskID)
			if err != nil {
				return err
			}
			if !moment(t.Deadline).After(now) {
				continue // the clock is about to resolve it
			}
			c, err := l.claim(tx, t, w, now)
			if err != nil {
				return err
			}
			claimed = append(claimed, c)
		}
		return nil
	})
	return claimed, err
}

func mostUrgent(tx *bbolt.Tx, taskQueueID string, n int) []string {
	var ids []string
	prefix := []byte(pendingPrefix(taskQueueID))
	c := tx.Bucket(bucketPending).Cursor()
	for key, id := c.Seek(prefix); bytes.HasPrefix(key, prefix) && len(ids) < n; key, id = c.Next() {
		ids = append(ids, string(id))
	}
	return ids
}

func (l *Ledger) claim(tx *bbolt.Tx, t *Task, w queue.Worker, now time.Time) (Claimed, error) {
	run := t.latest()
	run.State, t.State = running, running
	run.WorkerGroup, run.WorkerID = w.WorkerGroup, w.WorkerID
	run.Started = stamp(now)
	return l.take(tx, t, now)
}

// take lets the claim on the task's last run begin anew.
func (l *Ledger) take(tx *bbolt.Tx, t *Task, now time.Time) (Claimed, error) {
	run := t.latest()
	run.TakenUntil = stamp(now.Add(l.claimTimeout))
	if err := l.store.Schedule(tx, run.TakenUntil, disk.Event{Kind: claimExpires, ID: t.TaskID, Run: run.RunID}); err != nil {
		return Claimed{}, err
	}
	if err := l.save(tx, t); err != nil {
		return Claimed{}, err
	}
	c := Claimed{
		Status: t.Status, RunID: run.RunID, WorkerGroup: run.WorkerGroup, WorkerID: run.WorkerID, TakenUntil: run.TakenUntil,
		Definition: bytes.Clone(tx.Bucket(bucketDefinitions).Get([]byte(t.TaskID))),
	}
	var d struct {
		Scopes []string `json:"scopes"`
	}
	err := json.Unmarshal(c.Definition, &d)
	c.Scopes = d.Scopes
	return c, err
}

// Reclaim lets a claim last longer.
func (l *Ledger) Reclaim(ctx context.Context, taskID string, runID int) (Claimed, error) {
	var c Claimed
	err := l.store.Update(ctx, func(tx *bbolt.Tx) error {
		now := time.Now()
		t, run, err := l.findRun(tx, taskID, runID)
		switch {
		case err != nil:
			return err
		case !moment(t.Deadline).After(now):
			return refuse(conflict, "task %s cannot be reclaimed after its deadline", taskID)
		case run != t.latest() || run.State != running:
			return refuse(conflict, "run %d of task %s is resolved or not running", runID, taskID)
		}
		c, err = l.take(tx, t, now)
		return err
	})
	return c, err
}

// findRun returns a task and one of its runs, refusing if there is none.
func (l *Ledger) findRun(tx *bbolt.Tx, taskID string, runID int) (*Task, *Run, error) {
	t, err := l.find(tx, taskID)
	if err != nil {
		return nil, nil, err
	}
	if runID < 0 || runID >= len(t.Runs) {
		return nil, nil, refuse(notFound, "task %s has no run %d", taskID, runID)
	}
	return t, &t.Runs[runID], nil
}

// retryReasons are the reasons for an exception after which the task is tried
// again, and the reason that the new run has.
var retryReasons = map[string]string{"worker-shutdown": "retry", "intermittent-task": "task-retry"}

// Resolve reports how a run ended: completed, failed, or exception with a
// reason. Reporting the same again changes nothing.
func (l *Ledger) Resolve(ctx context.Context, taskID string, runID int, outcome queue.Outcome) (Status, error) {
	reason := outcome.Reason
	if outcome.State != exception {
		reason = outcome.State
	}
	var status Status
	err := l.store.Update(ctx, func(tx *bbolt.Tx) error {
		now := time.Now()
		t, run, err := l.findRun(tx, taskID, runID)
		if err != nil {
			return err
		}
		if run != t.latest() || run.State != running {
			status = t.Status
			if !resolvedAlike(t, run, outcome.State, reason) {
				return refuse(conflict, "run %d of task %s is resolved or not running", runID, taskID)
			}
			return nil
		}
		t.resolve(outcome.State, reason, now)
		if why, again := retryReasons[reason]; again && outcome.State == exception {
			t.retry(why, now)
		}
		status = t.Status
		return l.save(tx, t)
	})
	return status, err
}

// resolvedAlike tells whether a report says what is known already. The run
// that retries an exception does not count against that.
func resolvedAlike(t *Task, run *Run, state, reason string) bool {
	later := len(t.Runs) - 1 - run.RunID
	return run.State == state && run.ReasonResolved == reason && (later == 0 || later == 1 && state == exception)
}
