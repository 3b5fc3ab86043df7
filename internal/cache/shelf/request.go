package shelf

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Request is what somebody at the command line wants of a store that a worker
// has.
type Request struct {
	// What is the name of writable caches, where content comes from, or an id.
	What   string    `json:"what"`
	Before time.Time `json:"before"` // only what was created before
	Reason string    `json:"reason"`
	// Writable leaves alone what is no writable cache of the name.
	Writable bool `json:"writable"`
}

// Ask leaves a request for the worker that has the shelves in some directories.
func Ask(r Request, dirs ...string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, requestsName, strings.ToLower(rand.Text()))
		err := os.WriteFile(path+".new", text, 0o600)
		if err == nil {
			err = os.Chmod(path+".new", 0o644) // who asks may be another user than the worker's
		}
		if err == nil {
			err = os.Rename(path+".new", path+requestEnd)
		}
		if err != nil {
			return fmt.Errorf("cannot leave a request for the worker: %w", err)
		}
	}
	return nil
}

// requestEnd is what the names of complete requests end with.
const requestEnd = ".json"

// Requests calls do with each request that was left, and removes it then.
func (s *Shelf) Requests(do func(Request)) {
	for _, name := range s.names(requestsName) {
		if !strings.HasSuffix(name, requestEnd) {
			continue
		}
		path := filepath.Join(requestsName, name)
		var r Request
		if err := readFile(s.Root, path, &r); err != nil {
			s.log.Warn("cannot read a request about caches", "path", filepath.Join(s.Dir, path), "error", err)
		} else {
			do(r)
		}
		if err := s.Root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("cannot remove a request about caches", "path", filepath.Join(s.Dir, path), "error", err)
		}
	}
}

// Matches tells whether a request is about an entry.
func (r Request) Matches(e Entry) bool {
	if r.Writable && e.Kind != Cache {
		return false
	}
	return (e.Name == r.What || e.ID == r.What) && (r.Before.IsZero() || e.Created.Before(r.Before))
}
