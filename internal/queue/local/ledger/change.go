package ledger

import (
	"bytes"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/taskdef"
)

// load returns a task, or nil if there is none.
func (l *Ledger) load(tx *bbolt.Tx, taskID string) (*Task, error) {
	t := &Task{}
	found, err := disk.Get(tx, bucketTasks, []byte(taskID), t)
	if !found || err != nil {
		return nil, err
	}
	return t, nil
}

// find returns a task, refusing if there is none.
func (l *Ledger) find(tx *bbolt.Tx, taskID string) (*Task, error) {
	t, err := l.load(tx, taskID)
	if t == nil && err == nil {
		err = refuse(notFound, "task %s does not exist here; was it created, and has it not expired?", taskID)
	}
	return t, err
}

// save stores a task whose state may have changed, with everything that
// follows from its state.
func (l *Ledger) save(tx *bbolt.Tx, t *Task) error {
	if err := l.enqueue(tx, t); err != nil {
		return err
	}
	if err := disk.Put(tx, bucketTasks, []byte(t.TaskID), t); err != nil {
		return err
	}
	if t.State == completed || t.State == failed || t.State == exception {
		return l.release(tx, t)
	}
	return nil
}

// enqueue lets a pending task wait for a worker, and no other.
func (l *Ledger) enqueue(tx *bbolt.Tx, t *Task) error {
	b := tx.Bucket(bucketPending)
	if t.State != pending {
		key := t.PendingKey
		t.PendingKey = nil
		if key == nil {
			return nil
		}
		return b.Delete(key)
	}
	if t.PendingKey != nil {
		return nil
	}
	n, err := b.NextSequence()
	if err != nil {
		return fmt.Errorf("cannot number pending task %s: %w", t.TaskID, err)
	}
	t.PendingKey = sequenced(pendingPrefix(t.TaskQueueID)+string(rune('a'+taskdef.Rank(t.Priority))), n)
	l.news.queues = append(l.news.queues, t.TaskQueueID)
	return b.Put(t.PendingKey, []byte(t.TaskID))
}

func pendingPrefix(taskQueueID string) string { return taskQueueID + "\x00" }

// release schedules the tasks that waited for this one to be resolved.
func (l *Ledger) release(tx *bbolt.Tx, t *Task) error {
	for _, dependent := range keysAfter(tx.Bucket(bucketDependents), t.TaskID) {
		d, err := l.load(tx, dependent)
		if err != nil {
			return err
		}
		if d == nil || !satisfied(d.Requires, t.State) {
			continue
		}
		if err := tx.Bucket(bucketBlocked).Delete([]byte(dependent + t.TaskID)); err != nil {
			return err
		}
		if err := l.scheduleIfFree(tx, d); err != nil {
			return err
		}
	}
	return nil
}

// satisfied tells whether a dependency in the given state fulfils a task's
// requirement.
func satisfied(requires, state string) bool {
	return state == completed || requires == "all-resolved" && (state == failed || state == exception)
}

// scheduleIfFree makes a task pending unless it still waits for another one,
// was scheduled before, or is past its deadline.
func (l *Ledger) scheduleIfFree(tx *bbolt.Tx, t *Task) error {
	now := time.Now()
	if t.State != unscheduled || !moment(t.Deadline).After(now) || hasPrefix(tx.Bucket(bucketBlocked), t.TaskID) {
		return nil
	}
	t.addRun("scheduled", now)
	return l.save(tx, t)
}

// keysAfter lists what follows the prefix in a bucket's keys.
func keysAfter(b *bbolt.Bucket, prefix string) []string {
	var rest []string
	c := b.Cursor()
	for key, _ := c.Seek([]byte(prefix)); bytes.HasPrefix(key, []byte(prefix)); key, _ = c.Next() {
		rest = append(rest, string(key[len(prefix):]))
	}
	return rest
}

func hasPrefix(b *bbolt.Bucket, prefix string) bool {
	key, _ := b.Cursor().Seek([]byte(prefix))
	return bytes.HasPrefix(key, []byte(prefix))
}
