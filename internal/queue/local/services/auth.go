package services

import (
	"net/http"
	"slices"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

func (s *Services) authRoutes() []rest.Route {
	return []rest.Route{
		s.route(http.MethodGet, "/scopes/current", "currentScopes", (*call).currentScopes),
		s.route(http.MethodPost, "/scopes/expand", "expandScopes", (*call).expandScopes),
		s.route(http.MethodGet, "/scopes/expand", "expandScopesGet", (*call).expandScopes),
	}
}

func (c *call) currentScopes() (any, error) {
	if err := c.Need(hawk.Scope("auth:current-scopes")); err != nil {
		return nil, err
	}
	return map[string][]string{"scopes": hawk.Normalize(c.Caller.Scopes)}, nil
}

type scopeSet struct {
	Scopes []string `json:"scopes"`
}

func (r *scopeSet) Problems() rest.Problems {
	var p rest.Problems
	p.Check(r.Scopes != nil, "/scopes", "is missing")
	p.Check(!slices.ContainsFunc(r.Scopes, func(s string) bool { return !hawk.ValidScope(s) }), "/scopes", "must be valid scopes")
	return p
}

// expandScopes adds what the one role here, anonymous, gives.
func (c *call) expandScopes() (any, error) {
	if err := c.Need(hawk.Scope("auth:expand-scopes")); err != nil {
		return nil, err
	}
	var r scopeSet
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	if hawk.Satisfies(r.Scopes, "assume:anonymous") {
		r.Scopes = append(r.Scopes, c.Anonymous...)
	}
	return scopeSet{Scopes: hawk.Normalize(r.Scopes)}, nil
}

func now() tcclient.Time { return tcclient.Time(time.Now().UTC().Truncate(time.Millisecond)) }
