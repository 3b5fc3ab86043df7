package source

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// Server is a server of repositories.
type Server struct {
	Kind template.Kind
	// Web is the address of a Mercurial server; "" means https:// and its host.
	Web string
	// API and Raw are the addresses of GitHub's REST API and of its files. ""
	// means those of github.com, and for any other host, which is a GitHub
	// Enterprise Server, the paths that it has for them.
	API, Raw string
	// Token, if there is one, goes with all requests to a GitHub server. Then
	// also files come from the API, which is the documented way to those of a private
	// repository.
	Token mask.Secret
}

// Forge asks the servers of repositories. It implements template.Forge. It
// remembers answers as long as it lives, which is meant to be one verification.
// Its methods may be called concurrently; it must not be copied after first use.
type Forge struct {
	// Servers are those that may be asked, by the host in URLs of repositories.
	Servers map[string]Server
	// Redirects are further hosts that redirects may lead to, by https.
	Redirects []string
	// HTTP sends the requests; nil means one made by queue.NewHTTPClient. Only
	// its transport is used.
	HTTP *http.Client
	// Log gets one line per retry and never a token; nil discards them.
	Log    *slog.Logger
	Limits Limits

	prepare sync.Once
	fetch   *fetcher
	known   memo[[]byte]
}

var _ template.Forge = (*Forge)(nil)

const (
	anyMedia  = "*/*"
	jsonMedia = "application/json"
	rawMedia  = "application/vnd.github.raw+json"
	hubMedia  = "application/vnd.github+json"
)

// Kinds returns what template.Checker has to know of the servers.
func (f *Forge) Kinds() map[string]template.Kind {
	kinds := make(map[string]template.Kind, len(f.Servers))
	for host, server := range f.Servers {
		kinds[host] = server.Kind
	}
	return kinds
}

// withDefaults fills in the addresses of a server.
func (s Server) withDefaults(host string) Server {
	set := func(address *string, byDefault string) {
		if *address == "" {
			*address = byDefault
		}
		*address = strings.TrimRight(*address, "/")
	}
	set(&s.Web, "https://"+host)
	if host == "github.com" {
		set(&s.API, "https://api.github.com")
		set(&s.Raw, "https://raw.githubusercontent.com")
	}
	set(&s.API, "https://"+host+"/api/v3")
	set(&s.Raw, "https://"+host+"/raw")
	return s
}

// server returns the server of a repository.
func (f *Forge) server(r template.Repository) (Server, error) {
	f.prepare.Do(f.start)
	server, ok := f.Servers[r.Host]
	if !ok || server.Kind != r.Kind {
		return Server{}, fmt.Errorf("cannot ask %s: it is not among the %s servers that may be asked", r.Host, r.Kind)
	}
	return server.withDefaults(r.Host), nil
}

// start makes what sends requests, with the addresses that it may go to.
func (f *Forge) start() {
	client := f.HTTP
	if client == nil {
		client = queue.NewHTTPClient()
	}
	f.fetch = &fetcher{
		sender: client.Transport, log: f.Log, limits: f.Limits.withDefaults(),
		bases: map[string]bool{}, hosts: map[string]bool{},
	}
	if f.fetch.sender == nil {
		f.fetch.sender = http.DefaultTransport
	}
	if f.Log == nil {
		f.fetch.log = slog.New(slog.DiscardHandler)
	}
	for host, server := range f.Servers {
		server = server.withDefaults(host)
		addresses := []string{server.Web}
		if server.Kind == template.GitHub {
			addresses = []string{server.API, server.Raw}
		}
		for _, address := range addresses {
			if at, err := url.Parse(address); err == nil {
				f.fetch.bases[at.Scheme+"://"+at.Host] = true
			}
		}
	}
	for _, host := range f.Redirects {
		f.fetch.hosts[host] = true
	}
}

// get asks, or remembers.
func (f *Forge) get(ctx context.Context, r request) ([]byte, error) {
	return f.known.get(ctx, r.address, func(ctx context.Context) ([]byte, error) {
		body, err := f.fetch.get(ctx, r)
		if err == nil && (r.accept == jsonMedia || r.accept == hubMedia) && !json.Valid(body) {
			return nil, fmt.Errorf("cannot get %s: the answer is not JSON", r.address)
		}
		return body, err
	})
}

// File returns the content of a file.
func (f *Forge) File(ctx context.Context, at template.Commit, path string) ([]byte, error) {
	server, err := f.server(at.Repository)
	if err != nil {
		return nil, err
	}
	repository, revision := escape(at.Repository.Path), escape(at.Revision)
	switch {
	case server.Kind == template.Mercurial:
		return f.get(ctx, request{address: server.Web + "/" + repository + "/raw-file/" + revision + "/" + escape(path), accept: anyMedia})
	case server.Token != "":
		return f.get(ctx, request{
			address: server.API + "/repos/" + repository + "/contents/" + escape(path) + "?ref=" + url.QueryEscape(at.Revision),
			accept:  rawMedia, token: server.Token,
		})
	}
	return f.get(ctx, request{address: server.Raw + "/" + repository + "/" + revision + "/" + escape(path), accept: anyMedia})
}

// Pushes returns the pushlog's document for the push with a commit.
func (f *Forge) Pushes(ctx context.Context, at template.Commit) ([]byte, error) {
	server, err := f.server(at.Repository)
	if err != nil {
		return nil, err
	}
	if server.Kind != template.Mercurial {
		return nil, fmt.Errorf("cannot get pushes from %s: only Mercurial servers have a pushlog", at.Repository.Host)
	}
	return f.get(ctx, request{
		address: server.Web + "/" + escape(at.Repository.Path) + "/json-pushes?version=2&full=1&changeset=" + url.QueryEscape(at.Revision),
		accept:  jsonMedia,
	})
}

// Fact returns a document of GitHub's REST API.
func (f *Forge) Fact(ctx context.Context, about template.Fact) ([]byte, error) {
	path := map[template.FactKind]string{
		template.AboutRepository:  "",
		template.AboutCommit:      "/commits/" + url.PathEscape(about.Name),
		template.AboutRelease:     "/releases/tags/" + url.PathEscape(about.Name),
		template.AboutPullRequest: "/pulls/" + url.PathEscape(about.Name),
	}
	below, ok := path[about.Kind]
	if !ok {
		return nil, fmt.Errorf("cannot get a document about %s: GitHub's API has none", about.Kind)
	}
	return f.api(ctx, about.Repository, below)
}

// api gets a document about a repository, at a path with a query.
func (f *Forge) api(ctx context.Context, r template.Repository, path string) ([]byte, error) {
	server, err := f.server(r)
	if err != nil {
		return nil, err
	}
	if server.Kind != template.GitHub {
		return nil, fmt.Errorf("cannot ask %s for facts: it is no GitHub server", r.Host)
	}
	return f.get(ctx, request{address: server.API + "/repos/" + escape(r.Path) + path, accept: hubMedia, token: server.Token})
}

// escape escapes a path for a URL, but for its slashes.
func escape(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return strings.Join(segments, "/")
}
