package template

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/template/render"
)

// The events that tasks are made for.
const (
	forPush              = "hg-push"
	forCron              = "cron"
	forAction            = "action"
	forPullRequestAction = "pr-action"
	forGitHubPush        = "github-push"
	forRelease           = "github-release"
	forPullRequest       = "github-pull-request"
	forUntrusted         = "github-pull-request-untrusted"
)

// values are what a template can use.
type values = definition.Object

// decisionJob fills in the context of a decision or cron task.
func (c *Checker) decisionJob(ctx context.Context, p *parent, job *render.Job) error {
	var event func(context.Context, *parent) (values, error)
	switch p.head.Repository.Kind {
	case Mercurial:
		event = map[string]func(context.Context, *parent) (values, error){
			forPush: c.push, forCron: c.cron,
		}[p.tasksFor]
	case GitHub:
		event = map[string]func(context.Context, *parent) (values, error){
			forGitHubPush: c.gitHubPush, forRelease: c.gitHubRelease, forCron: c.gitHubCron,
			forPullRequest: c.pullRequest, forUntrusted: c.pullRequest,
		}[p.tasksFor]
	}
	if event == nil {
		return refusef("it was made for %s, an event that a repository on %s cannot have", quote(p.tasksFor), p.head.Repository.Host)
	}
	about, err := event(ctx, p)
	if err != nil {
		return err
	}
	now, err := p.now()
	if err != nil {
		return err
	}
	about["now"] = now
	about["tasks_for"] = p.tasksFor
	about["ownTaskId"] = p.TaskID
	about["taskId"] = nil
	job.Context, err = encoded(about)
	return err
}

// now returns when the task was created, in the one form JSON-e reads.
func (p *parent) now() (string, error) {
	created, err := time.Parse(time.RFC3339, p.task.Text("created"))
	if err != nil {
		return "", refusef("its /created is no time")
	}
	return created.UTC().Format("2006-01-02T15:04:05.000Z"), nil
}

func encoded(about values) (map[string]json.RawMessage, error) {
	members := make(map[string]json.RawMessage, len(about))
	for name, value := range about {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("cannot write value %s: %w", name, err)
		}
		members[name] = text
	}
	return members, nil
}

// push has what the template gets for a push to a Mercurial repository.
func (c *Checker) push(ctx context.Context, p *parent) (values, error) {
	about, pushed, err := c.pushed(ctx, p)
	if err != nil {
		return nil, err
	}
	variable := c.CommentVariable
	if variable == "" {
		variable = "GECKO_COMMIT_MSG"
	}
	comment := " "
	if given, ok := p.decision.Value("payload", "env", variable); ok {
		comment, _ = given.(string)
	}
	// Decision tasks get one blank, and on try the line for its syntax.
	_, try, isTry := strings.Cut(pushed.comment, "try:")
	line, _, _ := strings.Cut(try, "\n")
	if comment != " " && (!isTry || comment != "try:"+line) {
		return nil, refusef("its comment %s is neither one blank nor the line of the push's comment that begins with try:", quote(comment))
	}
	push := about.Object("push")
	push["comment"], push["owner"] = comment, pushed.user
	return about, nil
}

// cron has what the template gets for a cron job of a Mercurial repository.
func (c *Checker) cron(ctx context.Context, p *parent) (values, error) {
	job, err := p.cronJob()
	if err != nil {
		return nil, err
	}
	about, _, err := c.pushed(ctx, p)
	if err != nil {
		return nil, err
	}
	about["cron"] = job
	push := about.Object("push")
	push["comment"], push["owner"] = "", "cron"
	return about, nil
}

// cronJob returns what the task itself says about its cron job.
func (p *parent) cronJob() (any, error) {
	job, err := definition.ParseValue([]byte(p.task.Text("extra", "cron")))
	if err != nil {
		return nil, refusef("its /extra/cron: %w", err)
	}
	return job, nil
}

// pushlog is what of the pushlog's answer is used.
type pushlog struct {
	Pushes map[string]struct {
		Changesets []struct {
			Node    string
			Desc    string
			Parents []string
		}
		Date json.Number
		User string
	}
}

type pushed struct{ comment, user string }

// pushed returns what push and cron have in common, with an object push that
// lacks comment and owner.
func (c *Checker) pushed(ctx context.Context, p *parent) (values, pushed, error) {
	project, err := c.project(p)
	if err != nil {
		return nil, pushed{}, err
	}
	text, err := c.Forge.Pushes(ctx, p.head)
	if err != nil {
		return nil, pushed{}, fmt.Errorf("cannot get the pushlog: %w", err)
	}
	var log pushlog
	if err := json.Unmarshal(text, &log); err != nil {
		return nil, pushed{}, fmt.Errorf("cannot read the pushlog: %w", err)
	}
	if len(log.Pushes) == 0 || len(log.Pushes) > 1 && !p.Policy.Compat {
		return nil, pushed{}, refusef("the pushlog has %d pushes with its revision, where there must be one", len(log.Pushes))
	}
	id := slices.Sorted(maps.Keys(log.Pushes))[0]
	found := log.Pushes[id]
	sets := found.Changesets
	if len(sets) == 0 || len(sets[0].Parents) == 0 {
		return nil, pushed{}, refusef("the pushlog has no changesets, or no parents of the first, for push %s", quote(id))
	}
	isThere := false
	for _, set := range sets {
		isThere = isThere || set.Node == p.head.Revision
	}
	if !isThere && !p.Policy.Compat {
		return nil, pushed{}, refusef("the push %s, which the pushlog has for its revision, does not contain it", quote(id))
	}
	about := values{
		"repository": values{"url": p.url, "project": project.Name, "level": project.Level, "type": "hg"},
		"push": values{
			"base_revision": sets[0].Parents[0], "revision": p.head.Revision,
			"pushlog_id": id, "pushdate": orNull(found.Date),
		},
	}
	return about, pushed{comment: sets[len(sets)-1].Desc, user: found.User}, nil
}

// orNull returns nil for "", which stands for what is not there.
func orNull[T ~string](text T) any {
	if text == "" {
		return nil
	}
	return text
}
