package template

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// Forge is what is known about repositories: on their servers, or in a
// directory that has it from there. Methods are called concurrently; each bounds
// its waiting and what it reads. An error that is chain.ErrNotFound says that
// there is certainly no such thing, any other that it could not be found out.
type Forge interface {
	// File returns the content of a file, by its path in the repository.
	File(ctx context.Context, at Commit, path string) ([]byte, error)
	// Pushes returns what a Mercurial server's pushlog says about a commit: the
	// document of json-pushes, version 2, full.
	Pushes(ctx context.Context, at Commit) ([]byte, error)
	// Fact returns a document of GitHub's REST API.
	Fact(ctx context.Context, about Fact) ([]byte, error)
}

// Kind is what a server of repositories speaks.
type Kind string

// The kinds of servers.
const (
	Mercurial Kind = "hg"
	GitHub    Kind = "github"
)

// Repository is a repository on a server.
type Repository struct {
	Kind Kind
	Host string // in lower case, with the port if there is one in its URL
	Path string // without slashes at its ends, and without .git: mozilla-central, or owner/name
}

// Commit is a revision in a repository: a full hash, or what else names it
// there, such as a tag.
type Commit struct {
	Repository Repository
	Revision   string
}

// FactKind is what a Fact is about.
type FactKind string

// What facts are about, and what names them.
const (
	AboutRepository  FactKind = "repository"   // itself; no name
	AboutCommit      FactKind = "commit"       // revision
	AboutRelease     FactKind = "release"      // tag
	AboutPullRequest FactKind = "pull-request" // number
)

// Fact names one thing in a repository on GitHub.
type Fact struct {
	Repository Repository
	Kind       FactKind
	Name       string
}

var (
	plainSegment  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.+-]+$`) })
	plainRevision = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]*$`) })
	fullHash      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`) })
)

// ParseRepository reads a repository's URL, as in
// https://hg.example.com/mozilla-central, https://github.com/owner/name.git,
// ssh://github.com/owner/name or git@github.com:owner/name. It refuses all that
// could be read in more than one way, and hosts that are not in hosts.
func ParseRepository(text string, hosts map[string]Kind) (Repository, error) {
	refuse := func(why string) (Repository, error) {
		return Repository{}, refusef("the repository %s %s", quote(text), why)
	}
	plain := strings.TrimRight(text, "/")
	if rest, ok := strings.CutPrefix(plain, "git@"); ok {
		plain = "ssh://" + strings.Replace(rest, ":", "/", 1)
	}
	parts, err := url.Parse(plain)
	switch {
	case err != nil:
		return refuse("is no URL")
	case parts.RawQuery != "" || parts.Fragment != "" || parts.ForceQuery || strings.ContainsAny(plain, "%#?"):
		return refuse("has more in its URL than a host and a path")
	case parts.User != nil && (parts.Scheme != "ssh" || parts.User.String() != "git"):
		return refuse("names a user in its URL")
	}
	kind, ok := hosts[parts.Host]
	switch {
	case !ok:
		return refuse("is on a server that the policy does not name")
	case parts.Scheme != "https" && (parts.Scheme != "ssh" || kind != GitHub):
		return refuse("has a URL that does not begin with https://")
	}
	path := strings.TrimPrefix(parts.Path, "/")
	if kind == GitHub {
		path = strings.TrimSuffix(path, ".git")
	}
	segments := strings.Split(path, "/")
	for _, segment := range segments {
		if !plainSegment().MatchString(segment) || strings.Trim(segment, ".") == "" {
			return refuse("has a path that is not made of plain names")
		}
	}
	if kind == GitHub && len(segments) != 2 {
		return refuse("is not owner/name on its server")
	}
	return Repository{Kind: kind, Host: parts.Host, Path: path}, nil
}

// name returns the last part of a repository's path.
func (r Repository) name() string { return r.Path[strings.LastIndexByte(r.Path, '/')+1:] }

// IsRevision tells whether a text can be a hash or a tag, and nothing else to a
// server: owner:branch is a branch of a fork, and a..b are two revisions.
func IsRevision(text string) bool {
	const longest = 200
	return len(text) <= longest && plainRevision().MatchString(text) && !strings.Contains(text, "..") && !strings.Contains(text, "//")
}

// checkRevision refuses revisions which are no names, and, where only a hash
// will do, those that may be another commit tomorrow.
func checkRevision(revision string, anyName bool) error {
	switch {
	case fullHash().MatchString(revision):
		return nil
	case !anyName:
		return refusef("the revision %s is no full hash, so it may be another commit later", quote(revision))
	case !IsRevision(revision):
		return refusef("the revision %s is not made of plain names", quote(revision))
	}
	return nil
}
