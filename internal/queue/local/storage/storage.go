// Package storage serves the bytes of artifacts: by URLs that are signed, expire,
// and are good for one artifact and one method, and by Taskcluster's object
// service.
package storage

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/gorilla/mux"

	"github.com/taskcluster/generic-worker/internal/queue/local/blob"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

// Options say where and how bytes are kept.
type Options struct {
	Blobs     *blob.Store
	Ledger    *ledger.Ledger
	Key       string // signs URLs
	MaxUpload int64  // bytes of one artifact
	Log       *slog.Logger
}

// Storage keeps the bytes of artifacts and objects. Its methods may be called
// concurrently.
type Storage struct {
	ledger    *ledger.Ledger
	blobs     *blob.Store
	key       string
	maxUpload int64
	log       *slog.Logger
}

// Open opens the storage, and removes from it what the ledger does not refer
// to: bytes that were on their way when the last process ended.
func Open(o Options) (*Storage, error) {
	wanted := map[string]bool{}
	if err := o.Ledger.Contents(func(id string) { wanted[id] = true }); err != nil {
		return nil, fmt.Errorf("cannot list what artifacts refer to: %w", err)
	}
	if err := o.Blobs.Keep(wanted); err != nil {
		return nil, err
	}
	return &Storage{ledger: o.Ledger, blobs: o.Blobs, key: o.Key, maxUpload: o.MaxUpload, log: o.Log}, nil
}

// Register adds the object service's API, and the signed URLs, to a router.
func (s *Storage) Register(server *rest.Server, m *mux.Router) {
	server.Register(m, "object", s.objectRoutes())
	m.HandleFunc("/storage/{kind}/{key:.+}", s.serve(server)).Methods(http.MethodGet, http.MethodHead, http.MethodPut)
}

// Open returns the bytes of a content as they are stored. The caller closes
// the file.
func (s *Storage) Open(c ledger.Content) (*os.File, error) { return s.blobs.Open(c.ID) }

// discard removes the bytes of a content that no record refers to.
func (s *Storage) discard(id string) {
	if err := s.blobs.Remove(id); err != nil {
		s.log.Warn("cannot remove the bytes of an artifact", "error", err)
	}
}

// call is a request to the object service.
type call struct {
	*Storage
	*rest.Call
}

func (s *Storage) route(verb, path, name string, answer func(*call) (any, error)) rest.Route {
	return rest.Route{Verb: verb, Path: path, Name: name, Answer: func(c *rest.Call) (any, error) { return answer(&call{s, c}) }}
}
