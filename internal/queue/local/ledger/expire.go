package ledger

import (
	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// expireTask forgets a task and everything that belongs to it.
func (l *Ledger) expireTask(tx *bbolt.Tx, e disk.Event) error {
	t, err := l.load(tx, e.ID)
	if t == nil || err != nil {
		return err
	}
	if t.PendingKey != nil {
		if err := tx.Bucket(bucketPending).Delete(t.PendingKey); err != nil {
			return err
		}
	}
	for _, rest := range keysAfter(tx.Bucket(bucketArtifacts), t.TaskID) {
		if err := l.dropArtifact(tx, []byte(t.TaskID+rest)); err != nil {
			return err
		}
	}
	own := []string{t.TaskID}
	rows := []struct {
		bucket []byte
		keys   []string
	}{
		{bucketDependents, join(own, keysAfter(tx.Bucket(bucketDependents), t.TaskID))},
		{bucketDependents, join(t.Dependencies, own)},
		{bucketBlocked, join(own, keysAfter(tx.Bucket(bucketBlocked), t.TaskID))},
		{bucketDefinitions, own},
		{bucketTasks, own},
		{bucketCreated, []string{string(sequenced("", t.Sequence))}},
		{bucketMembers, []string{string(sequenced(t.TaskGroupID, t.Sequence))}},
	}
	for _, r := range rows {
		for _, key := range r.keys {
			if err := tx.Bucket(r.bucket).Delete([]byte(key)); err != nil {
				return err
			}
		}
	}
	if hasPrefix(tx.Bucket(bucketMembers), t.TaskGroupID) {
		return nil
	}
	return tx.Bucket(bucketGroups).Delete([]byte(t.TaskGroupID))
}

// join returns every string that begins with one of begin and ends with one
// of end.
func join(begin, end []string) []string {
	var keys []string
	for _, b := range begin {
		for _, e := range end {
			keys = append(keys, b+e)
		}
	}
	return keys
}

func (l *Ledger) expireArtifact(tx *bbolt.Tx, e disk.Event) error {
	key := artifactKey(e.ID, e.Run, e.More)
	var a Artifact
	found, err := disk.Get(tx, bucketArtifacts, key, &a)
	if !found || err != nil || moment(a.Expires).UnixMilli() != e.At {
		return err // gone, or its expiry was moved
	}
	return l.dropArtifact(tx, key)
}

func (l *Ledger) dropArtifact(tx *bbolt.Tx, key []byte) error {
	var a Artifact
	if _, err := disk.Get(tx, bucketArtifacts, key, &a); err != nil {
		return err
	}
	l.drop(a.Content)
	if a.StorageType == "object" {
		if err := l.dropObject(tx, ObjectName(a.TaskID, a.RunID, a.Name)); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketArtifacts).Delete(key)
}

func (l *Ledger) expireObject(tx *bbolt.Tx, e disk.Event) error {
	var o Object
	found, err := disk.Get(tx, bucketObjects, []byte(e.ID), &o)
	if !found || err != nil || moment(o.Expires).UnixMilli() != e.At {
		return err
	}
	return l.dropObject(tx, e.ID)
}

func (l *Ledger) dropObject(tx *bbolt.Tx, name string) error {
	var o Object
	found, err := disk.Get(tx, bucketObjects, []byte(name), &o)
	if !found || err != nil {
		return err
	}
	l.drop(o.Content)
	return tx.Bucket(bucketObjects).Delete([]byte(name))
}

// drop tells, once the commit is on disk, that a content is not needed.
func (l *Ledger) drop(c Content) {
	if c.ID != "" {
		l.news.dropped = append(l.news.dropped, c.ID)
	}
}
