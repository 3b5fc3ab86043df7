package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// lateArtifacts is how long after an exception artifacts may be created.
const lateArtifacts = 25 * time.Minute

// Content is a stored file. ID is empty as long as there is none.
type Content struct {
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Length   int64  `json:"length,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // of the bytes as stored, lower-case hex
}

// Artifact is one artifact of a run.
type Artifact struct {
	TaskID        string        `json:"taskId"`
	RunID         int           `json:"runId"`
	Name          string        `json:"name"`
	StorageType   string        `json:"storageType"` // s3, object, reference, link or error
	ContentType   string        `json:"contentType"`
	ContentLength *int64        `json:"contentLength,omitempty"`
	Expires       tcclient.Time `json:"expires"`
	// Present is false as long as an object upload is not finished.
	Present  bool    `json:"present"`
	URL      string  `json:"url,omitempty"`  // of a reference
	Link     string  `json:"link,omitempty"` // the artifact that a link stands for
	Reason   string  `json:"reason,omitempty"`
	Message  string  `json:"message,omitempty"`
	UploadID string  `json:"uploadId,omitempty"`
	Content  Content `json:"content,omitzero"` // of s3 artifacts
}

// ObjectName is the name under which an artifact is kept as an object.
func ObjectName(taskID string, runID int, name string) string {
	return "t/" + taskID + "/" + strconv.Itoa(runID) + "/" + name
}

// CreateArtifact announces an artifact of a run. Announcing it again is
// allowed if nothing changes but what the queue lets change: a later expiry,
// a reference's URL, and a reference that becomes a link.
func (l *Ledger) CreateArtifact(ctx context.Context, a Artifact) (Artifact, *Task, error) {
	var task *Task
	err := l.store.Update(ctx, func(tx *bbolt.Tx) error {
		t, err := l.artifactOwner(tx, a)
		if err != nil {
			return err
		}
		task = t
		key := artifactKey(a.TaskID, a.RunID, a.Name)
		var old Artifact
		found, err := disk.Get(tx, bucketArtifacts, key, &old)
		if err != nil {
			return err
		}
		if found {
			if why := incompatible(old, a); why != "" {
				return refuse(conflict, "artifact %q exists already with %s", a.Name, why)
			}
			if a.StorageType == old.StorageType {
				a.UploadID, a.Present, a.Content = old.UploadID, old.Present, old.Content
			}
		}
		if a.StorageType == "object" {
			if err := l.reserveObject(tx, a, t.ProjectID); err != nil {
				return err
			}
		}
		if err := l.store.Schedule(tx, a.Expires, disk.Event{Kind: artifactExpires, ID: a.TaskID, Run: a.RunID, More: a.Name}); err != nil {
			return err
		}
		return disk.Put(tx, bucketArtifacts, key, a)
	})
	return a, task, err
}

// artifactOwner returns the task of a new artifact if that may have one now.
func (l *Ledger) artifactOwner(tx *bbolt.Tx, a Artifact) (*Task, error) {
	t, err := l.load(tx, a.TaskID)
	if err != nil {
		return nil, err
	}
	if t == nil || a.RunID < 0 || a.RunID >= len(t.Runs) {
		return nil, refuse(badInput, "task %s has no run %d", a.TaskID, a.RunID)
	}
	run := t.Runs[a.RunID]
	switch {
	case run.WorkerID == "":
		return nil, refuse(badInput, "run %d of task %s was not claimed by a worker, so it cannot have artifacts", a.RunID, a.TaskID)
	case moment(a.Expires).After(moment(t.Expires)):
		return nil, refuse(
			badInput, "the artifact expires at %s, which is after the task does, at %s; let it expire no later",
			a.Expires, t.Expires,
		)
	case run.State == running, run.State == exception && time.Since(moment(run.Resolved)) < lateArtifacts:
		return t, nil
	}
	return nil, refuse(
		conflict, "run %d of task %s is %s; artifacts can be created while it is running, and for %v after an exception",
		a.RunID, a.TaskID, run.State, lateArtifacts,
	)
}

// incompatible says what forbids that artifact a replaces the old one.
func incompatible(old, a Artifact) string {
	became := old.StorageType == "reference" && a.StorageType == "link"
	switch {
	case old.StorageType != a.StorageType && !became:
		return "storageType " + old.StorageType
	case old.ContentType != a.ContentType && a.StorageType != "link":
		return "contentType " + strconv.Quote(old.ContentType)
	case moment(old.Expires).After(moment(a.Expires)):
		return fmt.Sprintf("a later expiry, %s", old.Expires)
	case became || a.StorageType == "reference":
		return ""
	case old.Link != a.Link:
		return "another target"
	case old.Reason != a.Reason || old.Message != a.Message:
		return "another reason or message"
	}
	return ""
}

// Artifact returns an artifact of a run, whether its upload is finished or
// not.
func (l *Ledger) Artifact(taskID string, runID int, name string) (Artifact, error) {
	var a Artifact
	err := l.store.View(func(tx *bbolt.Tx) error {
		found, err := findArtifact(tx, Artifact{TaskID: taskID, RunID: runID, Name: name})
		a = found
		return err
	})
	return a, err
}

// findArtifact returns the artifact with the same task, run and name.
func findArtifact(tx *bbolt.Tx, as Artifact) (Artifact, error) {
	var a Artifact
	found, err := disk.Get(tx, bucketArtifacts, artifactKey(as.TaskID, as.RunID, as.Name), &a)
	if err == nil && !found {
		err = refuse(notFound, "run %d of task %s has no artifact %q", as.RunID, as.TaskID, as.Name)
	}
	return a, err
}

// Artifacts lists a page of a run's artifacts by name.
func (l *Ledger) Artifacts(taskID string, runID int, page disk.Page) (artifacts []Artifact, next string, err error) {
	err = l.store.View(func(tx *bbolt.Tx) error {
		if _, _, err := l.findRun(tx, taskID, runID); err != nil {
			return err
		}
		names, token := pagedKeys(tx.Bucket(bucketArtifacts), artifactKey(taskID, runID, ""), page)
		next = token
		artifacts = make([]Artifact, len(names))
		for i, name := range names {
			a, err := findArtifact(tx, Artifact{TaskID: taskID, RunID: runID, Name: name})
			if err != nil {
				return err
			}
			artifacts[i] = a
		}
		return nil
	})
	return artifacts, next, err
}

// StoreArtifact notes that the content of an s3 artifact has arrived.
func (l *Ledger) StoreArtifact(ctx context.Context, a Artifact, content Content) error {
	return l.store.Update(ctx, func(tx *bbolt.Tx) error {
		now, err := findArtifact(tx, a)
		if err != nil {
			return err
		}
		if now.StorageType != "s3" {
			return refuse(conflict, "artifact %q is not an s3 artifact", a.Name)
		}
		l.drop(now.Content)
		now.Content = content
		return disk.Put(tx, bucketArtifacts, artifactKey(a.TaskID, a.RunID, a.Name), now)
	})
}

// FinishArtifact notes that the object upload of an artifact is complete.
func (l *Ledger) FinishArtifact(ctx context.Context, a Artifact, uploadID string) error {
	return l.store.Update(ctx, func(tx *bbolt.Tx) error {
		now, err := findArtifact(tx, a)
		if err != nil {
			return err
		}
		var o Object
		stored, err := disk.Get(tx, bucketObjects, []byte(ObjectName(a.TaskID, a.RunID, a.Name)), &o)
		switch {
		case err != nil:
			return err
		case now.StorageType != "object":
			return refuse(badInput, "artifact %q has storageType %s; only object artifacts are finished", a.Name, now.StorageType)
		case now.Present:
			return nil
		case uploadID != now.UploadID:
			return refuse(badInput, "the uploadId is not the one that createArtifact gave for artifact %q", a.Name)
		case !stored || !o.Finished:
			return refuse(badInput, "the upload of artifact %q is not finished at the object service; call finishUpload first", a.Name)
		}
		now.Present = true
		return disk.Put(tx, bucketArtifacts, artifactKey(a.TaskID, a.RunID, a.Name), now)
	})
}
