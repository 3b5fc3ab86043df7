package queuetest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcobject"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcpurgecache"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"
)

// Index makes a task the one that is indexed under a namespace; with an empty
// id, none is.
func (f *Fake) Index(namespace, taskID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexed[namespace] = taskID
}

// Role makes a role, without "assume:", stand for scopes.
func (f *Fake) Role(role string, scopes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roles["assume:"+role] = scopes
}

// expandScopes knows roles by their whole names, and none that a role assumes.
func (f *Fake) expandScopes(x *exchange) reply {
	var in struct{ Scopes []string }
	if err := json.Unmarshal(x.body, &in); err != nil || x.name != "expand" {
		return refuse(http.StatusBadRequest, "InputValidationError", "expandScopes needs scopes")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := in.Scopes
	for _, scope := range in.Scopes {
		all = append(all, f.roles[scope]...)
	}
	return reply{http.StatusOK, map[string][]string{"scopes": all}}
}

// Purge asks to purge the caches of a name that workers of a task queue made
// before a moment.
func (f *Fake) Purge(taskQueueID, cacheName string, before time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	provisioner, workerType, _ := strings.Cut(taskQueueID, "/")
	f.purges = append(f.purges, tcpurgecache.PurgeCacheRequestsEntry{
		ProvisionerID: provisioner, WorkerType: workerType, CacheName: cacheName, Before: tcclient.Time(before),
	})
}

// artifactContent answers with where the data is, as the queue does for those
// who do not follow redirects.
func (f *Fake) artifactContent(x *exchange, run *fakeRun) reply {
	a, refusal := x.follow(run)
	if refusal != nil {
		return *refusal
	}
	switch kind := a.in.StorageType; kind {
	case "error":
		return reply{200, map[string]string{"storageType": kind, "reason": a.in.Reason, "message": a.in.Message}}
	case "reference":
		return reply{200, map[string]string{"storageType": kind, "url": a.in.URL}}
	case "object":
		return reply{200, map[string]any{"storageType": kind, "name": a.key(), "credentials": tcqueue.ObjectServiceCredentials{
			ClientID: "artifact-download/" + a.key(), AccessToken: slugid.Nice() + slugid.Nice(), Certificate: "{}",
		}}}
	default:
		return reply{200, map[string]string{"storageType": kind, "url": f.URL + "/storage/" + url.PathEscape(a.key())}}
	}
}

func (f *Fake) startDownload(x *exchange) reply {
	var in tcobject.DownloadObjectRequest
	if err := json.Unmarshal(x.body, &in); err != nil {
		return refuse(http.StatusBadRequest, "InputValidationError", "startDownload needs acceptDownloadMethods")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch data := f.objects[x.name]; {
	case data == nil || !data.finished:
		return notFound("object")
	case !in.AcceptDownloadMethods.Simple:
		return refuse(http.StatusNotAcceptable, "NoMatchingMethod", "only the method simple is known")
	}
	return reply{200, tcobject.SimpleDownloadResponse{Method: "simple", URL: f.URL + "/storage/" + url.PathEscape(x.name)}}
}

func (f *Fake) findTask(x *exchange) reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.indexed[x.name]
	if id == "" {
		return notFound("indexed task")
	}
	expires := tcclient.Time(f.now().Add(24 * time.Hour))
	return reply{200, map[string]any{"namespace": x.name, "taskId": id, "rank": 0, "data": map[string]any{}, "expires": expires}}
}

func (f *Fake) purgeRequests(x *exchange) reply {
	var since time.Time
	if text := x.r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return inputError("since must be a time")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	open := tcpurgecache.OpenPurgeRequestList{Requests: []tcpurgecache.PurgeCacheRequestsEntry{}}
	for _, p := range f.purges {
		if p.ProvisionerID+"/"+p.WorkerType == x.name && !time.Time(p.Before).Before(since) {
			open.Requests = append(open.Requests, p)
		}
	}
	return reply{200, open}
}
