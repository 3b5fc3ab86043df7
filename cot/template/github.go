package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
)

const (
	// webUser is who commits what is edited or merged on GitHub's pages.
	webUser = "web-flow"
	// unknownUser stands for a commit whose author GitHub does not know. It is no
	// name that anyone can have there.
	unknownUser = "@unknown"
)

// account is a user of GitHub.
type account struct {
	Login string `json:"login"`
}

// fact gets a document of GitHub's REST API and reads it into v.
func (c *Checker) fact(ctx context.Context, about Fact, v any) error {
	text, err := c.Forge.Fact(ctx, about)
	if err != nil {
		return fmt.Errorf("cannot get %s %s: %w", about.Kind, about.Name, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read %s %s: %w", about.Kind, about.Name, err)
	}
	return nil
}

// page returns the URL of the repository as events have it.
func (p *parent) page() string {
	if rest, ok := strings.CutPrefix(p.url, "git@"); ok {
		return "ssh://" + strings.Replace(rest, ":", "/", 1)
	}
	return p.url
}

// first returns the first environment variable that is there, or nil.
func (p *parent) first(names ...string) any {
	for _, name := range names {
		if value, ok := p.decision.Value("payload", "env", p.Policy.EnvPrefix+"_"+name); ok {
			return value
		}
	}
	return nil
}

// gitHubPush has what the template gets for a push. GitHub's API does not have
// the event any more: who pushed is who committed, and what else it does not
// tell is taken from the task.
func (c *Checker) gitHubPush(ctx context.Context, p *parent) (values, error) {
	var commit struct {
		Committer *account `json:"committer"`
		Author    *account `json:"author"`
	}
	repository := p.head.Repository
	if err := c.fact(ctx, Fact{repository, AboutCommit, p.head.Revision}, &commit); err != nil {
		return nil, err
	}
	sender := unknownUser
	for _, who := range []*account{commit.Committer, commit.Author} {
		if who != nil && who.Login != "" && (who.Login != webUser || who == commit.Author) {
			sender = who.Login
			break
		}
	}
	owner, _ := p.task.Value("metadata", "owner")
	return values{"event": values{
		"before": p.first("BASE_REV"), "after": p.head.Revision,
		"ref": p.first("HEAD_BRANCH", "HEAD_REF"), "base_ref": p.first("BASE_BRANCH", "BASE_REF"),
		"pusher": values{"email": owner},
		"sender": values{"login": sender},
		"repository": values{
			"name": repository.name(), "full_name": repository.Path, "html_url": p.page(),
			"ssh_url":   "git@" + repository.Host + ":" + repository.Path + ".git",
			"pushed_at": p.first("PUSH_DATE_TIME"),
		},
	}}, nil
}

// gitHubRelease has what the template gets for a release.
func (c *Checker) gitHubRelease(ctx context.Context, p *parent) (values, error) {
	var release struct {
		Branch    string  `json:"target_commitish"`
		Published string  `json:"published_at"`
		Author    account `json:"author"`
	}
	repository := p.head.Repository
	if err := c.fact(ctx, Fact{repository, AboutRelease, p.head.Revision}, &release); err != nil {
		return nil, err
	}
	return values{"event": values{
		"action": "published",
		"repository": values{
			"name": repository.name(), "full_name": repository.Path, "html_url": p.url, "clone_url": p.url + ".git",
		},
		"release": values{
			"tag_name": p.head.Revision, "target_commitish": release.Branch, "published_at": release.Published,
		},
		"sender": values{"login": release.Author.Login},
	}}, nil
}

// gitHubCron has what the template gets for a cron job. Some repositories' templates
// expect the event of a release, others what Mercurial repositories get, so
// there is both.
func (c *Checker) gitHubCron(_ context.Context, p *parent) (values, error) {
	job, err := p.cronJob()
	if err != nil {
		return nil, err
	}
	project, err := c.project(p)
	if err != nil {
		return nil, err
	}
	repository := p.head.Repository
	branch := p.first("HEAD_BRANCH", "HEAD_REF")
	sender := p.first("TRIGGERED_BY")
	if sender == nil {
		sender = "TaskclusterHook"
	}
	return values{
		"cron": job,
		"event": values{
			"repository": values{
				"name": repository.name(), "full_name": repository.Path, "html_url": p.url, "clone_url": p.url,
			},
			"release": values{
				"tag_name": p.head.Revision, "target_commitish": branch, "published_at": p.first("PUSH_DATE_TIME"),
			},
			"sender": values{"login": sender},
		},
		"repository": values{"url": p.url, "project": repository.name(), "level": project.Level, "type": "git"},
		"push":       values{"revision": p.head.Revision, "branch": branch},
	}, nil
}

var number = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[1-9][0-9]{0,9}$`) })

// pullRequest has what the template gets for a pull request. Its commits may
// be others by now, so they are taken from the task.
func (c *Checker) pullRequest(ctx context.Context, p *parent) (values, error) {
	asked, err := c.pullRequestRepository(ctx, p)
	if err != nil {
		return nil, err
	}
	id := p.env("PULL_REQUEST_NUMBER")
	if !number().MatchString(id) {
		return nil, refusef("its %s_PULL_REQUEST_NUMBER %s is no number", p.Policy.EnvPrefix, quote(id))
	}
	text, err := c.Forge.Fact(ctx, Fact{asked, AboutPullRequest, id})
	if err != nil {
		return nil, fmt.Errorf("cannot get pull request %s: %w", id, err)
	}
	request, err := definition.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read pull request %s: %w", id, err)
	}
	head, base := request.Object("head"), request.Object("base")
	if head == nil || base == nil {
		return nil, fmt.Errorf("cannot read pull request %s: it has no head or no base", id)
	}
	head["updated_at"], head["sha"] = p.first("PUSH_DATE_TIME"), p.head.Revision
	base["sha"] = p.first("BASE_REV")
	sender, _ := head.Value("user", "login")
	return values{"event": values{
		"action": "synchronize", "repository": base["repo"], "pull_request": request,
		"sender": values{"login": sender},
	}}, nil
}

// pullRequestRepository returns where a pull request is: in the repository a
// fork was made from, unless it is from one branch of a repository to another.
// GitHub is asked what the parent is, since the task may say anything.
func (c *Checker) pullRequestRepository(ctx context.Context, p *parent) (Repository, error) {
	head := p.head.Repository
	var itself struct {
		Fork   bool `json:"fork"`
		Parent struct {
			FullName string `json:"full_name"`
		} `json:"parent"`
	}
	if err := c.fact(ctx, Fact{head, AboutRepository, ""}, &itself); err != nil {
		return Repository{}, err
	}
	base, err := ParseRepository(p.env("BASE_REPOSITORY"), c.Hosts)
	if err != nil {
		return Repository{}, err
	}
	if !itself.Fork || base == head {
		return head, nil
	}
	origin, err := ParseRepository("https://"+head.Host+"/"+itself.Parent.FullName, c.Hosts)
	if err != nil {
		return Repository{}, errors.New("cannot read the repository: its parent has no full name")
	}
	return origin, nil
}
