package services

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

const (
	purgeKind     = "purge request"
	purgeLifetime = 24 * time.Hour
)

func (s *Services) purgeRoutes() []rest.Route {
	return []rest.Route{
		s.route(http.MethodGet, "/purge-cache/list", "allPurgeRequests", (*call).allPurgeRequests),
		s.route(http.MethodGet, "/purge-cache/{workerPoolId:.+}", "purgeRequests", (*call).purgeRequests),
		s.route(http.MethodPost, "/purge-cache/{workerPoolId:.+}", "purgeCache", (*call).purgeCache),
	}
}

type purgeRequest struct {
	CacheName string `json:"cacheName"`
}

func (r *purgeRequest) Problems() rest.Problems {
	var p rest.Problems
	p.Check(r.CacheName != "", "/cacheName", "is missing")
	return p
}

// purgeEntry is a request that is kept: caches of that name that were made
// before that moment are to be thrown away.
type purgeEntry struct {
	ProvisionerID string        `json:"provisionerId"`
	WorkerType    string        `json:"workerType"`
	CacheName     string        `json:"cacheName"`
	Before        tcclient.Time `json:"before"`
}

func (c *call) purgeCache() (any, error) {
	var r purgeRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	pool := c.Params["workerPoolId"]
	if err := c.Need(hawk.Scope("purge-cache:", pool, ":", r.CacheName)); err != nil {
		return nil, err
	}
	provisioner, workerType, _ := strings.Cut(pool, "/")
	value, err := json.Marshal(purgeEntry{ProvisionerID: provisioner, WorkerType: workerType, CacheName: r.CacheName, Before: now()})
	if err != nil {
		return nil, err
	}
	entry := &disk.Entry{Value: value, Expires: tcclient.Time(time.Now().Add(purgeLifetime))}
	return rest.Reply{Status: http.StatusNoContent}, c.Store.ChangeEntry(
		c.Request.Context(), purgeKind, pool+":"+r.CacheName, func(*disk.Entry) (*disk.Entry, error) { return entry, nil },
	)
}

func (c *call) allPurgeRequests() (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	if err := c.Need(hawk.Scope("purge-cache:all-purge-requests")); err != nil {
		return nil, err
	}
	return c.listPurges("", page, time.Time{})
}

func (c *call) purgeRequests() (any, error) {
	if err := c.Query("since"); err != nil {
		return nil, err
	}
	pool := c.Params["workerPoolId"]
	if err := c.Need(hawk.Scope("purge-cache:purge-requests::", pool)); err != nil {
		return nil, err
	}
	var since time.Time
	if text := c.Request.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return nil, rest.Refuse(http.StatusBadRequest, rest.InvalidArguments, "since=%q must be a time like 2030-01-31T12:00:00.000Z", text)
		}
	}
	return c.listPurges(pool+":", disk.Page{Limit: rest.MaxPage}, since)
}

func (c *call) listPurges(prefix string, page disk.Page, since time.Time) (any, error) {
	entries, next, err := c.Store.Entries(purgeKind, prefix, page)
	if err != nil {
		return nil, err
	}
	requests := []purgeEntry{}
	for _, e := range entries {
		var p purgeEntry
		if err := json.Unmarshal(e.Value, &p); err != nil {
			return nil, err
		}
		if !time.Time(p.Before).Before(since) {
			requests = append(requests, p)
		}
	}
	return struct {
		Requests          []purgeEntry `json:"requests"`
		ContinuationToken string       `json:"continuationToken,omitempty"`
	}{requests, next}, nil
}
