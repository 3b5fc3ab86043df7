package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/schemas"
)

// Deployment is what a policy file says.
type Deployment struct {
	RootURL string   // empty if the file has none
	Storage []string // hosts of artifacts besides the deployment's own
	Policy  *chain.Policy

	Servers      map[string]Server // of repositories, by host
	Redirects    []string          // hosts that servers may redirect to
	Repositories string            // directory to read instead of asking servers; empty for none
	// Projects, CommentVariable and Programs are for template.Checker.
	Projects        []template.Project
	CommentVariable string
	Programs        []string
}

// Server is a server of repositories. Empty addresses stand for the usual ones.
type Server struct {
	Kind          template.Kind `json:"kind"`
	Web           string        `json:"web"`
	API           string        `json:"api"`
	Raw           string        `json:"raw"`
	TokenVariable string        `json:"tokenVariable"` // environment variable with a token
}

// Kinds returns what the servers are, by host.
func (d *Deployment) Kinds() map[string]template.Kind {
	kinds := make(map[string]template.Kind, len(d.Servers))
	for host, server := range d.Servers {
		kinds[host] = server.Kind
	}
	return kinds
}

// largestFile bounds what is read of the policy and of the files it names.
const largestFile = 4 << 20

var schema = sync.OnceValues(func() (*document.Schema, error) {
	return document.Compile("chain-policy.json", schemas.ChainPolicy)
})

// Load reads a policy file. What is wrong with what it says is returned as
// document.Problems.
func Load(ctx context.Context, path string) (*Deployment, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the policy: %w", err)
	}
	doc, err := document.Parse(path, text)
	if err != nil {
		return nil, err
	}
	return Read(ctx, doc, filepath.Dir(path))
}

// Read reads a policy; relative paths in it start at dir. What is wrong with
// what it says is returned as document.Problems.
func Read(ctx context.Context, doc *document.Document, dir string) (*Deployment, error) {
	s, err := schema()
	if err != nil {
		return nil, err
	}
	if problems := doc.Check(s); len(problems) > 0 {
		return nil, problems
	}
	r := &reader{doc: doc, dir: dir}
	if err := doc.Decode(&r.file); err != nil {
		return nil, err
	}
	d := r.deployment(ctx)
	r.check(d.Policy)
	if len(r.problems) > 0 {
		return nil, r.problems.Sort()
	}
	return d, nil
}

// readFile reads a plain file within bounds.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, largestFile+1))
	if err == nil && len(text) > largestFile {
		err = errors.New("it is larger than 4 MiB")
	}
	return text, err
}
