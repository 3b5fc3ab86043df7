package queuetest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"
)

// Stored is an artifact as the fake received it.
type Stored struct {
	Name            string
	StorageType     string // s3, object, reference, link or error
	ContentType     string
	ContentEncoding string // as sent with the data
	Expires         time.Time
	Present         bool            // it can be fetched: created, and for an object finished
	Request         json.RawMessage // of the last createArtifact
	Creations       int             // successful createArtifact calls
	Uploads         int             // complete uploads of data
	Bytes           int64           // of the data received
	SHA256          string          // of the data received, lower-case hex
	Body            []byte          // its first FakeOptions.KeepBodies bytes
}

// fakeArtifact is one artifact of a run, guarded by Fake.mu.
type fakeArtifact struct {
	in        artifactRequest
	raw       json.RawMessage
	run       *fakeRun
	name      string
	present   bool
	uploadID  string
	creations int
}

// artifactRequest is what createArtifact may be sent, for all storage types.
type artifactRequest struct {
	StorageType   string        `json:"storageType"`
	ContentType   string        `json:"contentType"`
	ContentLength *int64        `json:"contentLength"`
	Expires       tcclient.Time `json:"expires"`
	URL           string        `json:"url"`
	Artifact      string        `json:"artifact"`
	Reason        string        `json:"reason"`
	Message       string        `json:"message"`
}

// key is where the artifact's data is stored.
func (a *fakeArtifact) key() string {
	key := a.run.task.id + "/" + strconv.Itoa(a.run.doc.RunID) + "/" + a.name
	if a.in.StorageType == "object" {
		return "t/" + key
	}
	return key
}

func (f *Fake) stored(a *fakeArtifact) Stored {
	view := Stored{
		Name: a.name, StorageType: a.in.StorageType, ContentType: a.in.ContentType, Expires: time.Time(a.in.Expires),
		Present: a.present, Request: a.raw, Creations: a.creations,
	}
	if data := f.objects[a.key()]; data != nil {
		view.ContentEncoding, view.Uploads = data.encoding, data.uploads
		view.Bytes, view.SHA256, view.Body = data.size, data.sha256, data.kept
	}
	return view
}

func (f *Fake) createArtifact(x *exchange, run *fakeRun) reply {
	var in artifactRequest
	if err := json.Unmarshal(x.body, &in); err != nil || time.Time(in.Expires).IsZero() {
		return refuse(http.StatusBadRequest, "InputValidationError", "createArtifact needs storageType and expires")
	}
	byDefault(&in.ContentType, "application/binary")
	expires := time.Time(in.Expires)
	switch {
	case run.doc.WorkerID == "":
		return inputError("run was not claimed by a worker")
	case expires.Before(f.now().Add(-15 * time.Minute)):
		return inputError("expires must be in the future")
	case expires.After(time.Time(run.task.def.Expires)):
		return inputError("artifact may not expire after its task")
	case run.doc.State != "running" && (run.doc.State != "exception" || time.Time(run.doc.Resolved).Before(f.now().Add(-25*time.Minute))):
		return conflict("artifacts cannot be created after the run is resolved " + run.doc.State)
	}
	a := run.artifacts[x.name]
	switch {
	case a == nil:
		a = &fakeArtifact{run: run, name: x.name, uploadID: slugid.Nice()}
		run.artifacts[x.name] = a
		run.order = append(run.order, x.name)
	case !compatible(a.in, in):
		return conflict("artifact already exists with different properties")
	}
	answer := f.answerArtifact(a, in)
	if answer == nil {
		delete(run.artifacts, x.name)
		run.order = run.order[:len(run.order)-1]
		return refuse(http.StatusBadRequest, "InputValidationError", "unknown storageType")
	}
	a.in, a.raw = in, bytes.Clone(x.body)
	a.creations++
	a.present = a.present || in.StorageType != "object"
	f.notify()
	return reply{200, answer}
}

// compatible tells whether an artifact may be created again so.
func compatible(old, in artifactRequest) bool {
	switch {
	case in.StorageType != "link" && old.ContentType != in.ContentType,
		time.Time(old.Expires).After(time.Time(in.Expires)):
		return false
	case old.StorageType == "reference":
		return in.StorageType == "reference" || in.StorageType == "link"
	}
	return old.StorageType == in.StorageType && old.Artifact == in.Artifact && old.Reason == in.Reason && old.Message == in.Message
}

// answerArtifact says where the data goes; nil if the type is unknown.
func (f *Fake) answerArtifact(a *fakeArtifact, in artifactRequest) any {
	run := a.run
	switch in.StorageType {
	case "s3":
		fresh := fakeArtifact{in: in, run: run, name: a.name}
		until := f.now().Add(f.o.PutURLTTL)
		return tcqueue.S3ArtifactResponse{
			StorageType: "s3", ContentType: in.ContentType, Expires: tcclient.Time(until),
			PutURL: f.uploadURL(fresh.key(), in.ContentType, in.ContentLength, until),
		}
	case "object":
		fresh := fakeArtifact{in: in, run: run, name: a.name}
		return tcqueue.ObjectArtifactResponse{
			StorageType: "object", Name: fresh.key(), ProjectID: run.task.def.ProjectID,
			UploadID: a.uploadID, Expires: in.Expires,
			Credentials: tcqueue.ObjectServiceCredentials{
				ClientID:    "artifact-upload/" + run.task.id + "/" + strconv.Itoa(run.doc.RunID) + "/on/" + run.doc.WorkerGroup + "/" + run.doc.WorkerID,
				AccessToken: slugid.Nice() + slugid.Nice(),
				Certificate: "{}",
			},
		}
	case "reference", "link", "error":
		return map[string]any{"storageType": in.StorageType}
	}
	return nil
}

// uploadURL is an address to which data may be PUT. length is what was
// announced of it, if anything.
func (f *Fake) uploadURL(key, contentType string, length *int64, until time.Time) string {
	query := url.Values{"contentType": {contentType}, "until": {strconv.FormatInt(until.UnixNano(), 10)}}
	if length != nil {
		query.Set("length", strconv.FormatInt(*length, 10))
	}
	return f.URL + "/storage/" + url.PathEscape(key) + "?" + query.Encode()
}

func (f *Fake) finishArtifact(x *exchange, run *fakeRun) reply {
	a := run.artifacts[x.name]
	var in tcqueue.FinishArtifactRequest
	if err := json.Unmarshal(x.body, &in); err != nil {
		return refuse(http.StatusBadRequest, "InputValidationError", "finishArtifact needs an uploadId")
	}
	switch {
	case a == nil:
		return notFound("artifact")
	case a.in.StorageType != "object":
		return inputError("only object artifacts can be finished")
	case a.present: // again
	case in.UploadID != a.uploadID:
		return inputError("uploadId is not the artifact's")
	case f.objects[a.key()] == nil || !f.objects[a.key()].finished:
		return inputError("object storing artifact data does not exist")
	}
	a.present = true
	f.notify()
	return reply{http.StatusNoContent, nil}
}

// follow returns what an artifact links to in the end, or why it leads nowhere.
func (x *exchange) follow(run *fakeRun) (*fakeArtifact, *reply) {
	a := run.artifacts[x.name]
	for links := 0; a != nil && a.in.StorageType == "link"; links++ {
		if links > len(run.artifacts) {
			cycle := inputError("artifact leads to a link cycle")
			return nil, &cycle
		}
		a = run.artifacts[a.in.Artifact]
	}
	if a == nil || !a.present {
		none := notFound("artifact")
		return nil, &none
	}
	return a, nil
}

func (f *Fake) getArtifact(x *exchange, run *fakeRun) reply {
	a, refusal := x.follow(run)
	if refusal != nil {
		return *refusal
	}
	x.w.Header().Set("X-Taskcluster-Artifact-Storage-Type", a.in.StorageType)
	where := f.URL + "/storage/" + url.PathEscape(a.key())
	switch a.in.StorageType {
	case "error":
		return reply{http.StatusFailedDependency, map[string]any{"reason": a.in.Reason, "message": a.in.Message}}
	case "reference":
		where = a.in.URL
	}
	x.w.Header().Set("Location", where)
	return reply{http.StatusSeeOther, map[string]any{"storageType": a.in.StorageType, "url": where}}
}

func (f *Fake) listArtifacts(x *exchange, run *fakeRun) reply {
	from, to, next := x.page(len(run.order))
	list := make([]any, 0, to-from)
	for _, name := range slices.Sorted(slices.Values(run.order))[from:to] {
		a := run.artifacts[name]
		doc := map[string]any{
			"name": name, "storageType": a.in.StorageType, "contentType": a.in.ContentType, "expires": a.in.Expires,
		}
		if a.in.ContentLength != nil {
			doc["contentLength"] = *a.in.ContentLength
		}
		list = append(list, doc)
	}
	doc := map[string]any{"artifacts": list}
	if next != "" {
		doc["continuationToken"] = next
	}
	return reply{200, doc}
}
