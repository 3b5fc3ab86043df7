package services

import (
	"encoding/json"
	"net/http"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

const secretKind = "secret"

func (s *Services) secretRoutes() []rest.Route {
	return []rest.Route{
		s.route(http.MethodGet, "/secrets", "list", (*call).listSecrets),
		s.route(http.MethodGet, "/secret/{name:.+}", "get", (*call).getSecret),
		s.route(http.MethodPut, "/secret/{name:.+}", "set", (*call).setSecret),
		s.route(http.MethodDelete, "/secret/{name:.+}", "remove", (*call).removeSecret),
	}
}

type secret struct {
	Secret  json.RawMessage `json:"secret"`
	Expires *tcclient.Time  `json:"expires"`
}

func (r *secret) Problems() rest.Problems {
	var p rest.Problems
	p.Check(isObject(r.Secret), "/secret", "must be an object")
	p.Check(r.Expires != nil, "/expires", "is missing")
	return p
}

func isObject(raw json.RawMessage) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(raw, &members) == nil && members != nil
}

func (c *call) setSecret() (any, error) {
	name := c.Params["name"]
	if err := c.Need(hawk.Scope("secrets:set:", name)); err != nil {
		return nil, err
	}
	var r secret
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	return struct{}{}, c.Store.ChangeEntry(c.Request.Context(), secretKind, name, func(*disk.Entry) (*disk.Entry, error) {
		return &disk.Entry{Value: r.Secret, Expires: *r.Expires}, nil
	})
}

func (c *call) removeSecret() (any, error) {
	name := c.Params["name"]
	if err := c.Need(hawk.Scope("secrets:set:", name)); err != nil {
		return nil, err
	}
	return struct{}{}, c.Store.ChangeEntry(c.Request.Context(), secretKind, name, func(*disk.Entry) (*disk.Entry, error) { return nil, nil })
}

func (c *call) getSecret() (any, error) {
	name := c.Params["name"]
	if err := c.Need(hawk.Scope("secrets:get:", name)); err != nil {
		return nil, err
	}
	e, err := c.Store.Entry(secretKind, name)
	return secret{Secret: e.Value, Expires: &e.Expires}, err
}

func (c *call) listSecrets() (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	if err := c.Need(hawk.Scope("secrets:list-secrets")); err != nil {
		return nil, err
	}
	entries, next, err := c.Store.Entries(secretKind, "", page)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return struct {
		Secrets           []string `json:"secrets"`
		ContinuationToken string   `json:"continuationToken,omitempty"`
	}{names, next}, err
}
