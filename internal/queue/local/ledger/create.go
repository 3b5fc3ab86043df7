package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/taskdef"
)

// Create stores a new task and schedules it if nothing holds it back.
// Creating the same task again changes nothing.
func (l *Ledger) Create(ctx context.Context, taskID string, d *taskdef.Definition) (Status, error) {
	text, err := d.Encode()
	if err != nil {
		return Status{}, fmt.Errorf("cannot encode the definition of task %s: %w", taskID, err)
	}
	var status Status
	err = l.store.Update(ctx, func(tx *bbolt.Tx) error {
		t, err := l.create(tx, taskID, d, text)
		if err == nil {
			status = t.Status
		}
		return err
	})
	return status, err
}

func (l *Ledger) create(tx *bbolt.Tx, taskID string, d *taskdef.Definition, text json.RawMessage) (*Task, error) {
	existing, err := l.load(tx, taskID)
	if err != nil {
		return nil, err
	}
	if existing != nil {
		if !taskdef.Same(tx.Bucket(bucketDefinitions).Get([]byte(taskID)), text) {
			return nil, refuse(conflict, "task %s exists already with another definition; use a new task id", taskID)
		}
		return existing, nil
	}
	if err := checkGroup(tx, d); err != nil {
		return nil, err
	}
	t := newTask(taskID, d)
	blockers, err := l.blockers(tx, t)
	if err != nil {
		return nil, err
	}
	if err := l.insert(tx, t, text, blockers); err != nil {
		return nil, err
	}
	if err := l.scheduleIfFree(tx, t); err != nil {
		return nil, err
	}
	return t, nil
}

// checkGroup makes sure that a task group belongs to one scheduler.
func checkGroup(tx *bbolt.Tx, d *taskdef.Definition) error {
	var scheduler string
	found, err := disk.Get(tx, bucketGroups, []byte(d.TaskGroupID), &scheduler)
	if err != nil || !found || scheduler == d.SchedulerID {
		return err
	}
	return refuse(
		conflict, "task group %s belongs to schedulerId %q; all of its tasks must have that schedulerId, not %q",
		d.TaskGroupID, scheduler, d.SchedulerID,
	)
}

// blockers returns which of the task's dependencies are not satisfied yet.
func (l *Ledger) blockers(tx *bbolt.Tx, t *Task) ([]string, error) {
	var blockers, missing, expiring []string
	for _, id := range t.Dependencies {
		if id == t.TaskID {
			blockers = append(blockers, id)
			continue
		}
		required, err := l.load(tx, id)
		if err != nil {
			return nil, err
		}
		switch {
		case required == nil:
			missing = append(missing, id)
		case moment(required.Expires).Before(moment(t.Deadline)):
			expiring = append(expiring, id)
		case !satisfied(t.Requires, required.State):
			blockers = append(blockers, id)
		}
	}
	if missing != nil {
		return nil, refuse(badInput, "the dependencies %s do not exist; create them before the tasks that depend on them", strings.Join(missing, ", "))
	}
	if expiring != nil {
		return nil, refuse(badInput, "the dependencies %s expire before this task's deadline; let them expire later", strings.Join(expiring, ", "))
	}
	return blockers, nil
}

func (l *Ledger) insert(tx *bbolt.Tx, t *Task, text json.RawMessage, blockers []string) error {
	n, err := tx.Bucket(bucketTasks).NextSequence()
	if err != nil {
		return fmt.Errorf("cannot number task %s: %w", t.TaskID, err)
	}
	t.Sequence = n
	rows := []struct {
		bucket     []byte
		key, value []byte
	}{
		{bucketDefinitions, []byte(t.TaskID), text},
		{bucketMembers, sequenced(t.TaskGroupID, n), []byte(t.TaskID)},
		{bucketCreated, sequenced("", n), []byte(t.TaskID)},
	}
	for _, r := range rows {
		if err := tx.Bucket(r.bucket).Put(r.key, r.value); err != nil {
			return err
		}
	}
	for _, id := range t.Dependencies {
		if err := tx.Bucket(bucketDependents).Put([]byte(id+t.TaskID), nil); err != nil {
			return err
		}
	}
	for _, id := range blockers {
		if err := tx.Bucket(bucketBlocked).Put([]byte(t.TaskID+id), nil); err != nil {
			return err
		}
	}
	if err := disk.Put(tx, bucketGroups, []byte(t.TaskGroupID), t.SchedulerID); err != nil {
		return err
	}
	if err := l.store.Schedule(tx, t.Deadline, disk.Event{Kind: deadlinePasses, ID: t.TaskID}); err != nil {
		return err
	}
	if err := l.store.Schedule(tx, t.Expires, disk.Event{Kind: taskExpires, ID: t.TaskID}); err != nil {
		return err
	}
	return disk.Put(tx, bucketTasks, []byte(t.TaskID), t)
}

// Schedule makes an unscheduled task pending whatever it depends on.
func (l *Ledger) Schedule(ctx context.Context, taskID string) (Status, error) {
	return l.change(ctx, taskID, func(t *Task, now time.Time) error {
		if !moment(t.Deadline).After(now) {
			return refuse(conflict, "task %s cannot be scheduled after its deadline", taskID)
		}
		if t.State == unscheduled {
			t.addRun("scheduled", now)
		}
		return nil
	})
}

// Rerun gives a resolved task a new run, and all of its retries.
func (l *Ledger) Rerun(ctx context.Context, taskID string) (Status, error) {
	return l.change(ctx, taskID, func(t *Task, now time.Time) error {
		switch {
		case !moment(t.Deadline).After(now):
			return refuse(conflict, "task %s cannot run again after its deadline; create it anew", taskID)
		case t.active():
			return nil
		case len(t.Runs) >= maxRuns:
			return refuse(conflict, "task %s has had the %d runs that a task may have; create it anew", taskID, maxRuns)
		}
		t.RetriesLeft = min(t.Retries, maxRuns-len(t.Runs)-1)
		t.addRun("rerun", now)
		return nil
	})
}

// Cancel resolves an unresolved task as canceled.
func (l *Ledger) Cancel(ctx context.Context, taskID string) (Status, error) {
	return l.change(ctx, taskID, func(t *Task, now time.Time) error {
		if !moment(t.Deadline).After(now) {
			return refuse(conflict, "task %s cannot be canceled after its deadline", taskID)
		}
		if t.State == unscheduled || t.active() {
			t.stop("canceled", now)
		}
		return nil
	})
}

// change applies one transition to a task.
func (l *Ledger) change(ctx context.Context, taskID string, transition func(*Task, time.Time) error) (Status, error) {
	var status Status
	err := l.store.Update(ctx, func(tx *bbolt.Tx) error {
		t, err := l.find(tx, taskID)
		if err != nil {
			return err
		}
		if err := transition(t, time.Now()); err != nil {
			return err
		}
		status = t.Status
		return l.save(tx, t)
	})
	return status, err
}
