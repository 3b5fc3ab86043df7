package trust

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// Repository is where a task's source is.
type Repository struct {
	// Path is the path of the repository by the first rule that knows it, with
	// the slash it begins with; empty: none does.
	Path string
	// Loose says that the source goes on after the path with something that
	// cannot follow a repository's name.
	Loose bool

	rule *VCSRule
	url  *url.URL // nil if there is no usable one
}

// Head returns the repository and the revision in a task's environment.
func (p *Policy) Head(task definition.Object) (repository, revision string) {
	env := task.Object("payload", "env")
	return env.Text(p.EnvPrefix + "_HEAD_REPOSITORY"), env.Text(p.EnvPrefix + "_HEAD_REV")
}

// Repository returns where a task's source is. The error refuses a task whose
// environment says something else; the repository is that of the source even so.
func (p *Policy) Repository(task definition.Object) (Repository, error) {
	source := task.Text("metadata", "source")
	head, _ := p.Head(task)
	var mismatch error
	switch {
	case head == "":
	case p.Profile == GPG && !strings.HasPrefix(source, head):
		source = head
	case p.Profile == Ed25519 && !within(source, head):
		mismatch = report.Refuse("/metadata/source is %s, which is not in the repository %s of the environment", definition.Brief(source), definition.Brief(head))
	}
	return p.find(source), mismatch
}

// within tells whether a URL is at or below another, by host and whole parts
// of the path.
func within(source, repo string) bool {
	a, b := parseURL(source), parseURL(repo)
	if a == nil || b == nil || !strings.EqualFold(a.Host, b.Host) {
		return false
	}
	start := strings.TrimSuffix(strings.TrimSuffix(b.Path, "/"), ".git")
	rest, below := strings.CutPrefix(a.Path, start)
	return below && start != "" && endsRepository(rest)
}

// endsRepository tells whether this can follow the path of a repository.
func endsRepository(rest string) bool {
	rest = strings.TrimPrefix(rest, ".git")
	return rest == "" || strings.HasPrefix(rest, "/")
}

// parseURL reads a URL, or the form git@host:path. It is nil if there is more
// than one way to understand it.
func parseURL(text string) *url.URL {
	if rest, ok := strings.CutPrefix(text, "git@"); ok {
		host, path, _ := strings.Cut(rest, ":")
		text = "ssh://git@" + host + "/" + strings.TrimPrefix(path, "/")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(u.Path, odd) {
		return nil
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == "." || part == ".." {
			return nil
		}
	}
	return u
}

func odd(r rune) bool { return r == '\\' || r == '%' || !unicode.IsPrint(r) }

// find returns the repository of a URL.
func (p *Policy) find(text string) Repository {
	u := parseURL(text)
	if u == nil {
		return Repository{}
	}
	for i := range p.VCSRules {
		r := &p.VCSRules[i]
		if !slices.Contains(r.Schemes, u.Scheme) || !slices.Contains(r.Hosts, strings.ToLower(u.Host)) {
			continue
		}
		if path, rest := r.split(u.Path); path != "" {
			loose := !strings.HasSuffix(path, "/") && !endsRepository(rest)
			return Repository{Path: strings.TrimSuffix(path, "/"), Loose: loose, rule: r, url: u}
		}
	}
	return Repository{url: u}
}

// split returns the path of the repository in that of a URL, and what follows.
func (r *VCSRule) split(path string) (repository, rest string) {
	for _, expression := range r.Paths {
		m := expression.FindStringSubmatchIndex(path)
		group := 2 * expression.SubexpIndex("path")
		if m != nil && m[0] == 0 && group >= 0 && m[group] >= 0 {
			return path[m[group]:m[group+1]], path[m[group+1]:]
		}
	}
	return "", ""
}

// Suspect says why a task is from a try repository or a pull request, which is
// nothing for most. Landed asks for what only the repository itself can say: whether
// the task's revision is on one of its branches.
func (p *Policy) Suspect(task definition.Object) (reason string, landed bool) {
	u := p.Untrusted
	if scheduler := task.Text("schedulerId"); slices.Contains(u.SchedulerIDs, scheduler) {
		return "its scheduler is " + scheduler, false
	}
	if event := task.Text("extra", "tasks_for"); slices.Contains(u.TasksFor, event) {
		return "it was made for " + event, false
	}
	for name, values := range u.Env {
		if value := task.Text("payload", "env", name); slices.Contains(values, value) {
			return fmt.Sprintf("its %s is %s", name, value), false
		}
	}
	repository, _ := p.Head(task)
	head := p.find(repository)
	for _, r := range []Repository{p.find(task.Text("metadata", "source")), head} {
		if reason := u.foreign(r); reason != "" {
			return reason, false
		}
	}
	return "", head.rule != nil && head.rule.Landed
}

// foreign tells why a repository is not a trusted one, "" if it may be.
func (u Untrusted) foreign(r Repository) string {
	if r.url == nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.url.Path, "/"), "/")
	for _, word := range u.Paths {
		if strings.Contains(first, word) {
			return fmt.Sprintf("repository %s is one for %s", r.url.Redacted(), word)
		}
	}
	official := func(owner string) bool { return strings.EqualFold(owner, first) }
	if r.rule != nil && len(r.rule.Owners) > 0 && !slices.ContainsFunc(r.rule.Owners, official) {
		return fmt.Sprintf("repository %s is that of %s and not of %s", r.url.Redacted(), first, strings.Join(r.rule.Owners, ", "))
	}
	return ""
}
