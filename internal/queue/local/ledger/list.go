package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// Listed is a task in a list.
type Listed struct {
	Status Status          `json:"status"`
	Task   json.RawMessage `json:"task"`
}

// Definition returns a task's definition as it is stored.
func (l *Ledger) Definition(taskID string) (json.RawMessage, error) {
	var text json.RawMessage
	err := l.store.View(func(tx *bbolt.Tx) error {
		text = bytes.Clone(tx.Bucket(bucketDefinitions).Get([]byte(taskID)))
		if text == nil {
			_, err := l.find(tx, taskID)
			return err
		}
		return nil
	})
	return text, err
}

// Status returns the state of a task.
func (l *Ledger) Status(taskID string) (Status, error) {
	var status Status
	err := l.store.View(func(tx *bbolt.Tx) error {
		t, err := l.find(tx, taskID)
		if err == nil {
			status = t.Status
		}
		return err
	})
	return status, err
}

// Group lists the tasks of a group in order of creation, and returns the
// token of the next page if there is one.
func (l *Ledger) Group(taskGroupID string, page disk.Page) (tasks []Listed, next string, err error) {
	err = l.store.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketGroups).Get([]byte(taskGroupID)) == nil {
			return refuse(notFound, "task group %s does not exist here", taskGroupID)
		}
		ids, token := paged(tx.Bucket(bucketMembers), []byte(taskGroupID), page)
		next = token
		tasks, err = l.list(tx, ids)
		return err
	})
	return tasks, next, err
}

// Dependents lists the tasks that depend on a task.
func (l *Ledger) Dependents(taskID string, page disk.Page) (tasks []Listed, next string, err error) {
	err = l.store.View(func(tx *bbolt.Tx) error {
		if _, err := l.find(tx, taskID); err != nil {
			return err
		}
		keys, token := pagedKeys(tx.Bucket(bucketDependents), []byte(taskID), page)
		next = token
		tasks, err = l.list(tx, keys)
		return err
	})
	return tasks, next, err
}

// Recent lists up to n tasks, the newest first.
func (l *Ledger) Recent(n int) (tasks []Listed, err error) {
	err = l.store.View(func(tx *bbolt.Tx) error {
		var ids []string
		c := tx.Bucket(bucketCreated).Cursor()
		for key, id := c.Last(); key != nil && len(ids) < n; key, id = c.Prev() {
			ids = append(ids, string(id))
		}
		tasks, err = l.list(tx, ids)
		return err
	})
	return tasks, err
}

// Pending counts the tasks that wait for a worker of a task queue.
func (l *Ledger) Pending(taskQueueID string) (n int, err error) {
	err = l.store.View(func(tx *bbolt.Tx) error {
		n = len(keysAfter(tx.Bucket(bucketPending), pendingPrefix(taskQueueID)))
		return nil
	})
	return n, err
}

func (l *Ledger) list(tx *bbolt.Tx, ids []string) ([]Listed, error) {
	tasks := make([]Listed, 0, len(ids))
	for _, id := range ids {
		t, err := l.load(tx, id)
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue // expired
		}
		tasks = append(tasks, Listed{Status: t.Status, Task: bytes.Clone(tx.Bucket(bucketDefinitions).Get([]byte(id)))})
	}
	return tasks, nil
}

// paged lists values of a bucket whose keys begin with prefix.
func paged(b *bbolt.Bucket, prefix []byte, page disk.Page) (values []string, next string) {
	next = disk.Walk(b, prefix, page, func(_, value []byte) { values = append(values, string(value)) })
	return values, next
}

// pagedKeys lists what follows the prefix in keys of a bucket.
func pagedKeys(b *bbolt.Bucket, prefix []byte, page disk.Page) (rest []string, next string) {
	next = disk.Walk(b, prefix, page, func(key, _ []byte) { rest = append(rest, string(key[len(prefix):])) })
	return rest, next
}

// artifactKey is the key of an artifact; those of one run sort by name.
func artifactKey(taskID string, runID int, name string) []byte {
	key := binary.BigEndian.AppendUint32([]byte(taskID), uint32(runID))
	return append(key, name...)
}

// Contents calls visit with the id of every content that is referred to.
func (l *Ledger) Contents(visit func(id string)) error {
	return l.store.View(func(tx *bbolt.Tx) error {
		for _, bucket := range [][]byte{bucketArtifacts, bucketObjects} {
			err := tx.Bucket(bucket).ForEach(func(_, value []byte) error {
				var owner struct {
					Content Content `json:"content"`
				}
				if err := json.Unmarshal(value, &owner); err != nil {
					return err
				}
				visit(owner.Content.ID)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
