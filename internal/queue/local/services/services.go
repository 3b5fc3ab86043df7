// Package services are what tasks use beside the queue, as far as one machine
// needs it: auth tells scopes, index finds tasks by name, purge-cache tells
// which caches to throw away, secrets keeps secrets.
package services

import (
	"github.com/gorilla/mux"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

// Services are served from one store.
type Services struct {
	Store *disk.Store
	// Anonymous are the scopes that everyone has.
	Anonymous []string
	// Artifact answers for the artifact that the call's parameters taskId and
	// name mean, of the latest run.
	Artifact func(*rest.Call) (any, error)
}

// Register adds the services' APIs to a router.
func (s *Services) Register(server *rest.Server, m *mux.Router) {
	server.Register(m, "auth", s.authRoutes())
	server.Register(m, "index", s.indexRoutes())
	server.Register(m, "secrets", s.secretRoutes())
	server.Register(m, "purge-cache", s.purgeRoutes())
}

// call is a request to one of the services.
type call struct {
	*Services
	*rest.Call
}

func (s *Services) route(verb, path, name string, answer func(*call) (any, error)) rest.Route {
	return rest.Route{Verb: verb, Path: path, Name: name, Answer: func(c *rest.Call) (any, error) { return answer(&call{s, c}) }}
}
