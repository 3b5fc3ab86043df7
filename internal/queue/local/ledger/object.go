package ledger

import (
	"context"
	"maps"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// Object is something kept by the object service.
type Object struct {
	Name      string            `json:"name"`
	ProjectID string            `json:"projectId"`
	UploadID  string            `json:"uploadId"`
	Expires   tcclient.Time     `json:"expires"`
	Hashes    map[string]string `json:"hashes,omitempty"`
	Finished  bool              `json:"finished"`
	Content   Content           `json:"content,omitzero"`
}

// reserveObject makes sure that only the artifact's upload id can be used for
// its object.
func (l *Ledger) reserveObject(tx *bbolt.Tx, a Artifact, projectID string) error {
	name := ObjectName(a.TaskID, a.RunID, a.Name)
	var o Object
	found, err := disk.Get(tx, bucketObjects, []byte(name), &o)
	if err != nil {
		return err
	}
	if !found {
		o = Object{Name: name, ProjectID: projectID, UploadID: a.UploadID}
	}
	o.Expires = a.Expires
	if err := l.store.Schedule(tx, o.Expires, disk.Event{Kind: objectExpires, ID: name}); err != nil {
		return err
	}
	return disk.Put(tx, bucketObjects, []byte(name), o)
}

// CreateObject begins the upload of an object, or finds it begun alike.
func (l *Ledger) CreateObject(ctx context.Context, o Object) (Object, error) {
	err := l.store.Update(ctx, func(tx *bbolt.Tx) error {
		var old Object
		found, err := disk.Get(tx, bucketObjects, []byte(o.Name), &old)
		if err != nil {
			return err
		}
		if found {
			same := old.ProjectID == o.ProjectID && old.UploadID == o.UploadID && moment(old.Expires).Equal(moment(o.Expires))
			if old.Finished || !same {
				return refuse(conflict, "object %q exists already; another upload has begun or is finished", o.Name)
			}
			hashes, err := mergeHashes(old, o.Hashes)
			if err != nil {
				return err
			}
			o = old
			o.Hashes = hashes
		} else if err := l.store.Schedule(tx, o.Expires, disk.Event{Kind: objectExpires, ID: o.Name}); err != nil {
			return err
		}
		return disk.Put(tx, bucketObjects, []byte(o.Name), o)
	})
	return o, err
}

func mergeHashes(o Object, hashes map[string]string) (map[string]string, error) {
	merged := maps.Clone(o.Hashes)
	if merged == nil {
		merged = map[string]string{}
	}
	for algorithm, hash := range hashes {
		if known, has := merged[algorithm]; has && known != hash {
			return nil, refuse(conflict, "object %q has another %s hash already", o.Name, algorithm)
		}
		merged[algorithm] = hash
	}
	return merged, nil
}

// Object returns an object, whether its upload is finished or not.
func (l *Ledger) Object(name string) (Object, error) {
	var o Object
	err := l.store.View(func(tx *bbolt.Tx) error { return findObject(tx, name, &o) })
	return o, err
}

func findObject(tx *bbolt.Tx, name string, o *Object) error {
	found, err := disk.Get(tx, bucketObjects, []byte(name), o)
	if err == nil && !found {
		err = refuse(notFound, "object %q does not exist here", name)
	}
	return err
}

// StoreObject notes that the content of an object has arrived.
func (l *Ledger) StoreObject(ctx context.Context, name, uploadID string, content Content) error {
	return l.store.Update(ctx, func(tx *bbolt.Tx) error {
		var o Object
		if err := findObject(tx, name, &o); err != nil {
			return err
		}
		if o.UploadID != uploadID || o.Finished {
			return refuse(conflict, "the upload of object %q is finished or belongs to someone else", name)
		}
		l.drop(o.Content)
		o.Content = content
		return disk.Put(tx, bucketObjects, []byte(name), o)
	})
}

// FinishObject completes the upload of an object. It refuses if the content
// has not arrived or has another sha256 than the hashes say.
func (l *Ledger) FinishObject(ctx context.Context, want Object) error {
	return l.store.Update(ctx, func(tx *bbolt.Tx) error {
		var o Object
		if err := findObject(tx, want.Name, &o); err != nil {
			return err
		}
		if o.ProjectID != want.ProjectID {
			return refuse(badInput, "object %q does not belong to project %q", want.Name, want.ProjectID)
		}
		if o.Finished {
			return finishedAlike(o, want.Hashes)
		}
		hashes, err := mergeHashes(o, want.Hashes)
		switch {
		case err != nil:
			return err
		case o.UploadID != want.UploadID:
			return refuse(conflict, "object %q has another uploadId", want.Name)
		case o.Content.ID == "":
			return refuse(badInput, "no data has arrived for object %q", want.Name)
		case hashes["sha256"] != "" && hashes["sha256"] != o.Content.SHA256:
			return refuse(badInput, "the data of object %q arrived with sha256 %s; upload it again", want.Name, o.Content.SHA256)
		}
		// Downloaders check a hash; give them one even if the uploader did not.
		hashes["sha256"] = o.Content.SHA256
		o.Finished, o.Hashes = true, hashes
		return disk.Put(tx, bucketObjects, []byte(want.Name), o)
	})
}

func finishedAlike(o Object, hashes map[string]string) error {
	for algorithm, hash := range hashes {
		if o.Hashes[algorithm] != hash {
			return refuse(conflict, "object %q is finished already, with another %s hash or none", o.Name, algorithm)
		}
	}
	return nil
}
