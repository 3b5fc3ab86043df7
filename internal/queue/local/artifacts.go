package local

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
	"github.com/taskcluster/generic-worker/internal/queue/local/storage"
)

const (
	maxArtifactName = 1024
	maxContentType  = 255
	maxMessage      = 4096
	// lateExpiry is how far an artifact's expiry may be in the past, for
	// clients with a wrong clock.
	lateExpiry = 15 * time.Minute

	uploadLifetime   = 24 * time.Hour
	downloadLifetime = time.Hour
)

// errorReasons are the reasons that an error artifact may have.
var errorReasons = [...]string{
	"file-missing-on-worker", "invalid-resource-on-worker", "too-large-file-on-worker", "file-not-readable-on-worker",
}

func (q *Queue) artifactRoutes() []rest.Route {
	const get, put, post = http.MethodGet, http.MethodPut, http.MethodPost
	const run, latest = "/task/{taskId}/runs/{runId}", "/task/{taskId}"
	return []rest.Route{
		q.route(post, run+"/artifacts/{name:.+}", "createArtifact", (*call).createArtifact),
		q.route(put, run+"/artifacts/{name:.+}", "finishArtifact", (*call).finishArtifact),
		q.route(get, run+"/artifacts", "listArtifacts", (*call).listArtifacts),
		q.route(get, run+"/artifacts/{name:.+}", "getArtifact", (*call).getArtifact),
		q.route(get, run+"/artifact-info/{name:.+}", "artifactInfo", (*call).artifactInfo),
		q.route(get, run+"/artifact-content/{name:.+}", "artifact", (*call).artifactContent),
		q.route(get, latest+"/artifacts", "listLatestArtifacts", (*call).listArtifacts),
		q.route(get, latest+"/artifacts/{name:.+}", "getLatestArtifact", (*call).getArtifact),
		q.route(get, latest+"/artifact-info/{name:.+}", "latestArtifactInfo", (*call).artifactInfo),
		q.route(get, latest+"/artifact-content/{name:.+}", "latestArtifact", (*call).artifactContent),
	}
}

// artifactRequest is a request to create an artifact. Which properties it may
// have depends on its storage type.
type artifactRequest struct {
	StorageType   string         `json:"storageType"`
	Expires       *tcclient.Time `json:"expires"`
	ContentType   *string        `json:"contentType"`
	ContentLength *int64         `json:"contentLength"`
	URL           *string        `json:"url"`
	Artifact      *string        `json:"artifact"`
	Reason        *string        `json:"reason"`
	Message       *string        `json:"message"`
}

func (r *artifactRequest) Problems() rest.Problems {
	var p rest.Problems
	p.Check(r.Expires != nil, "/expires", "is missing")
	p.Check(r.ContentType == nil || utf8.RuneCountInString(*r.ContentType) <= maxContentType, "/contentType", "must have at most 255 characters")
	p.Check(r.ContentLength == nil || *r.ContentLength >= 0, "/contentLength", "must not be negative")
	allowed := map[string][]string{
		"s3":        {"/contentType", "/contentLength"},
		"object":    {"/contentType", "/contentLength"},
		"reference": {"/contentType", "/url"},
		"link":      {"/contentType", "/artifact"},
		"error":     {"/reason", "/message"},
	}[r.StorageType]
	p.Check(allowed != nil, "/storageType", "must be one of s3, object, reference, link, error")
	if allowed == nil {
		return p
	}
	for pointer, given := range map[string]bool{
		"/contentType": r.ContentType != nil, "/contentLength": r.ContentLength != nil, "/url": r.URL != nil,
		"/artifact": r.Artifact != nil, "/reason": r.Reason != nil, "/message": r.Message != nil,
	} {
		ours := slices.Contains(allowed, pointer)
		optional := pointer == "/contentLength" || pointer == "/contentType" && r.StorageType == "link"
		p.Check(ours || !given, pointer, "does not go with storageType "+r.StorageType)
		p.Check(given || !ours || optional, pointer, "is missing")
	}
	if r.URL != nil {
		u, err := url.Parse(*r.URL)
		p.Check(err == nil && u.IsAbs(), "/url", "must be a URL")
	}
	p.Check(r.Reason == nil || slices.Contains(errorReasons[:], *r.Reason), "/reason", "must be one of "+strings.Join(errorReasons[:], ", "))
	p.Check(r.Message == nil || utf8.RuneCountInString(*r.Message) <= maxMessage, "/message", "must have at most 4096 characters")
	slices.Sort(p)
	return p
}

func (c *call) createArtifact() (any, error) {
	if err := c.Need(c.runScope("create-artifact")); err != nil {
		return nil, err
	}
	var r artifactRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	at := place{c.Params["taskId"], c.runID(), c.Params["name"]}
	return c.announce(c.Request.Context(), at, r, c.Base())
}

// place says where an artifact is. Run -1 means the latest one.
type place struct {
	taskID string
	runID  int
	name   string
}

// announce creates the artifact and says where its data goes.
func (q *Queue) announce(ctx context.Context, at place, r artifactRequest, base string) (any, error) {
	switch {
	case time.Time(*r.Expires).Before(time.Now().Add(-lateExpiry)):
		return nil, rest.Refuse(http.StatusBadRequest, rest.InputError, "the artifact expires in the past; let it expire later")
	case len(at.name) > maxArtifactName:
		return nil, rest.Refuse(http.StatusBadRequest, rest.InvalidArguments, "the artifact's name is longer than %d characters", maxArtifactName)
	}
	a := ledger.Artifact{
		TaskID: at.taskID, RunID: at.runID, Name: at.name,
		StorageType: r.StorageType, ContentLength: r.ContentLength, Expires: *r.Expires,
		ContentType: "application/binary",
		Present:     r.StorageType != "object",
	}
	for given, to := range map[*string]*string{
		r.ContentType: &a.ContentType, r.URL: &a.URL, r.Artifact: &a.Link, r.Reason: &a.Reason, r.Message: &a.Message,
	} {
		if given != nil {
			*to = *given
		}
	}
	if a.StorageType == "object" {
		a.UploadID = slugid.Nice()
	}
	a, task, err := q.ledger.CreateArtifact(ctx, a)
	if err != nil {
		return nil, err
	}
	switch a.StorageType {
	case "s3":
		expires := time.Now().Add(storage.PutLifetime)
		return map[string]any{
			"storageType": "s3", "contentType": a.ContentType, "expires": tcclient.Time(expires),
			"putUrl": q.storage.URL(base, http.MethodPut, storage.Of(a), expires),
		}, nil
	case "object":
		return q.answerObject(a, task)
	}
	return map[string]any{"storageType": a.StorageType}, nil
}

// answerObject says how to upload an object artifact.
func (q *Queue) answerObject(a ledger.Artifact, t *ledger.Task) (any, error) {
	run := t.Runs[a.RunID]
	name := ledger.ObjectName(a.TaskID, a.RunID, a.Name)
	expiry := time.Now().Add(uploadLifetime)
	if e := time.Time(a.Expires); e.Before(expiry) {
		expiry = e
	}
	client := strings.Join([]string{"artifact-upload", strings.TrimSuffix(strings.TrimPrefix(name, "t/"), "/"+a.Name), "on", run.WorkerGroup, run.WorkerID}, "/")
	credentials, err := hawk.Issue(q.clients[issuerID], client, expiry, []string{"object:upload:" + t.ProjectID + ":" + name})
	return map[string]any{
		"storageType": "object", "name": name, "projectId": t.ProjectID, "uploadId": a.UploadID,
		"expires": a.Expires, "credentials": credentials,
	}, err
}

type finishRequest struct {
	UploadID string `json:"uploadId"`
}

func (r *finishRequest) Problems() rest.Problems {
	var p rest.Problems
	p.Check(rest.SlugForm().MatchString(r.UploadID), "/uploadId", "must be the uploadId that createArtifact gave")
	return p
}

func (c *call) finishArtifact() (any, error) {
	if err := c.Need(c.runScope("create-artifact")); err != nil {
		return nil, err
	}
	var r finishRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	a := ledger.Artifact{TaskID: c.Params["taskId"], RunID: c.runID(), Name: c.Params["name"]}
	return rest.Reply{Status: http.StatusNoContent}, c.ledger.FinishArtifact(c.Request.Context(), a, r.UploadID)
}

// at returns the place that the request's path names.
func (c *call) at() (place, error) {
	at := place{taskID: c.Params["taskId"], runID: -1, name: c.Params["name"]}
	if _, given := c.Params["runId"]; given {
		at.runID = c.runID()
	}
	return c.resolveRun(at)
}

// resolveRun finds which run is the latest.
func (q *Queue) resolveRun(at place) (place, error) {
	if at.runID >= 0 {
		return at, nil
	}
	s, err := q.ledger.Status(at.taskID)
	if err != nil {
		return at, err
	}
	at.runID = len(s.Runs) - 1
	if at.runID < 0 {
		return at, rest.Refuse(http.StatusNotFound, rest.NotFound, "task %s has no runs yet", at.taskID)
	}
	return at, nil
}

// follow returns the artifact at a place, or what it links to in the end;
// may says whether its caller may have an artifact of that name.
func (q *Queue) follow(at place, may func(name string) error) (ledger.Artifact, error) {
	var seen []string
	for {
		if err := may(at.name); err != nil {
			return ledger.Artifact{}, err
		}
		a, err := q.ledger.Artifact(at.taskID, at.runID, at.name)
		switch {
		case err != nil:
			return a, err
		case !a.Present:
			return a, rest.Refuse(http.StatusNotFound, rest.NotFound, "artifact %q is still being uploaded", at.name)
		case a.StorageType != "link":
			return a, nil
		}
		seen = append(seen, at.name)
		if slices.Contains(seen, a.Link) {
			return a, rest.Refuse(http.StatusBadRequest, rest.InputError, "artifact %q links to itself by way of %s", at.name, strings.Join(seen, ", "))
		}
		at.name = a.Link
	}
}

// content finds the artifact that the request asks for, checking the scopes
// for it and for what it links to.
func (c *call) content() (ledger.Artifact, error) {
	var seen []string
	may := func(name string) error {
		seen = append(seen, name)
		return c.Need(hawk.AllOf(hawk.Each("queue:get-artifact:", seen)...))
	}
	if err := may(c.Params["name"]); err != nil {
		return ledger.Artifact{}, err
	}
	seen = nil
	at, err := c.at()
	if err != nil {
		return ledger.Artifact{}, err
	}
	return c.follow(at, may)
}

func (c *call) getArtifact() (any, error) {
	a, err := c.content()
	if err != nil {
		return nil, err
	}
	header := map[string]string{"X-Taskcluster-Artifact-Storage-Type": a.StorageType}
	if a.StorageType == "error" {
		return rest.Reply{
			Status: http.StatusFailedDependency, Header: header,
			Body: map[string]string{"reason": a.Reason, "message": a.Message},
		}, nil
	}
	location := a.URL
	if a.StorageType != "reference" {
		location = c.storage.URL(c.Base(), http.MethodGet, storage.Of(a), time.Now().Add(storage.GetLifetime))
	}
	header["Location"] = location
	return rest.Reply{
		Status: http.StatusSeeOther, Header: header,
		Body: map[string]string{"storageType": a.StorageType, "url": location},
	}, nil
}

func (c *call) artifactContent() (any, error) {
	a, err := c.content()
	if err != nil {
		return nil, err
	}
	switch a.StorageType {
	case "error":
		return map[string]string{"storageType": "error", "reason": a.Reason, "message": a.Message}, nil
	case "reference":
		return map[string]string{"storageType": "reference", "url": a.URL}, nil
	case "object":
		name := ledger.ObjectName(a.TaskID, a.RunID, a.Name)
		client := "artifact-download/" + strings.TrimPrefix(name, "t/")
		credentials, err := hawk.Issue(c.clients[issuerID], client, time.Now().Add(downloadLifetime), []string{"object:download:" + name})
		return map[string]any{"storageType": "object", "name": name, "credentials": credentials}, err
	}
	return map[string]string{
		"storageType": a.StorageType,
		"url":         c.storage.URL(c.Base(), http.MethodGet, storage.Of(a), time.Now().Add(storage.GetLifetime)),
	}, nil
}

// artifactInfo is what lists say about an artifact.
type artifactInfo struct {
	StorageType   string        `json:"storageType"`
	Name          string        `json:"name"`
	Expires       tcclient.Time `json:"expires"`
	ContentType   string        `json:"contentType"`
	ContentLength *int64        `json:"contentLength,omitempty"`
}

func infoOf(a ledger.Artifact) artifactInfo {
	return artifactInfo{
		StorageType: a.StorageType, Name: a.Name, Expires: a.Expires, ContentType: a.ContentType, ContentLength: a.ContentLength,
	}
}

// listScope is what a caller needs to list artifacts of the path's run.
func (c *call) listScope() hawk.Expression {
	if run, given := c.Params["runId"]; given {
		return hawk.Scope("queue:list-artifacts:", c.Params["taskId"], ":", run)
	}
	return hawk.Scope("queue:list-artifacts:", c.Params["taskId"])
}

func (c *call) artifactInfo() (any, error) {
	if err := c.Need(c.listScope()); err != nil {
		return nil, err
	}
	at, err := c.at()
	if err != nil {
		return nil, err
	}
	a, err := c.ledger.Artifact(at.taskID, at.runID, at.name)
	if err == nil && !a.Present {
		err = rest.Refuse(http.StatusNotFound, rest.NotFound, "artifact %q is still being uploaded", at.name)
	}
	return infoOf(a), err
}

func (c *call) listArtifacts() (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	if err := c.Need(c.listScope()); err != nil {
		return nil, err
	}
	at, err := c.at()
	if err != nil {
		return nil, err
	}
	artifacts, next, err := c.ledger.Artifacts(at.taskID, at.runID, page)
	infos := make([]artifactInfo, len(artifacts))
	for i, a := range artifacts {
		infos[i] = infoOf(a)
	}
	return struct {
		Artifacts         []artifactInfo `json:"artifacts"`
		ContinuationToken string         `json:"continuationToken,omitempty"`
	}{infos, next}, err
}

// decodeArtifact reads a request to create an artifact that came in process.
func decodeArtifact(request json.RawMessage) (artifactRequest, error) {
	var r artifactRequest
	err := rest.ParseDocument(request, &r)
	return r, err
}

// refusedArtifact is the error of an artifact that stands for a failure.
func refusedArtifact(a ledger.Artifact) error {
	return rest.Refuse(http.StatusFailedDependency, a.Reason, "%s", a.Message)
}
