package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/template/render"
)

// Renderer renders templates. It is called concurrently. Errors that are the
// template's fault are render.ErrTemplate.
type Renderer interface {
	Render(ctx context.Context, job render.Job) (json.RawMessage, error)
}

// Checker checks decision, cron and action tasks against their repositories.
// It implements chain.Templates.
type Checker struct {
	Forge    Forge
	Renderer Renderer
	// Hosts are the servers that repositories may be on.
	Hosts map[string]Kind
	// Projects are the known repositories. Tasks of Mercurial repositories, and
	// those that cron made, must come from one of them.
	Projects []Project
	// CommentVariable is the environment variable in which decision tasks of
	// Mercurial pushes have the comment of the push; "" stands for
	// GECKO_COMMIT_MSG.
	CommentVariable string
	// Programs are what commands of decision tasks may begin with in profile
	// gpg, such as /builds/worker/bin/run-task.
	Programs []string
}

var (
	_ chain.Templates = (*Checker)(nil)
	_ Renderer        = render.Child{}
)

// templatePath is where repositories have their template.
const templatePath = ".taskcluster.yml"

// Check rebuilds the task and returns in what it differs from the rebuilt one.
// In profile gpg it looks at the command of decision tasks only, and knows no
// action tasks.
func (c *Checker) Check(ctx context.Context, task chain.ParentTask) ([]chain.Difference, error) {
	compared, err := c.Explain(ctx, task)
	if err != nil {
		return nil, err
	}
	return compared.Differences, nil
}

// Explain is Check, and also tells which members were not compared.
func (c *Checker) Explain(ctx context.Context, task chain.ParentTask) (Comparison, error) {
	compared, err := c.explain(ctx, task)
	if no, ok := errors.AsType[*refusal](err); ok {
		return Comparison{Differences: []chain.Difference{{Reason: no.reason}}}, nil
	}
	switch {
	case errors.Is(err, render.ErrTemplate), errors.Is(err, chain.ErrNotFound):
		return Comparison{Differences: []chain.Difference{{Reason: err.Error()}}}, nil
	case err != nil:
		return Comparison{}, fmt.Errorf("cannot rebuild task %s: %w", task.TaskID, err)
	}
	return compared, nil
}

func (c *Checker) explain(ctx context.Context, task chain.ParentTask) (Comparison, error) {
	if task.Policy.Profile == chain.GPG {
		return c.explainCommand(task)
	}
	p, err := c.parse(task)
	if err != nil {
		return Comparison{}, err
	}
	text, err := c.Forge.File(ctx, p.head, templatePath)
	if err != nil {
		return Comparison{}, fmt.Errorf("cannot get the template: %w", err)
	}
	job := render.Job{Template: text, TaskID: task.TaskID, DecisionID: task.DecisionID}
	if task.Action {
		err = c.actionJob(ctx, p, &job)
	} else {
		err = c.decisionJob(ctx, p, &job)
	}
	if err != nil {
		return Comparison{}, err
	}
	result, err := c.Renderer.Render(ctx, job)
	if err != nil {
		return Comparison{}, err
	}
	rebuilt, err := tasksOf(result)
	if err != nil {
		return Comparison{}, err
	}
	if task.Action {
		if err := p.alignGroup(rebuilt); err != nil {
			return Comparison{}, err
		}
	}
	return p.closest(rebuilt), nil
}

// explainCommand applies the rule of profile gpg.
func (c *Checker) explainCommand(task chain.ParentTask) (Comparison, error) {
	if task.Action {
		return Comparison{}, refusef("it is an action task, which profile gpg does not know")
	}
	defined, err := definition.Parse(task.Definition)
	if err != nil {
		return Comparison{}, refusef("%w", err)
	}
	command, ok := defined.Texts("payload", "command")
	if !ok {
		return Comparison{}, refusef("its command is no list of texts")
	}
	var compared Comparison
	if err := CheckCommand(command, c.Programs, task.Policy.Compat); err != nil {
		compared.Differences = []chain.Difference{{Path: "/payload/command", Reason: err.Error()}}
	}
	return compared, nil
}

// refusal is an error that speaks against the task.
type refusal struct {
	reason string
	cause  error
}

func (r *refusal) Error() string { return r.reason }
func (r *refusal) Unwrap() error { return r.cause }

func refusef(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &refusal{reason: err.Error(), cause: errors.Unwrap(err)}
}

// parent is a task under check, read.
type parent struct {
	chain.ParentTask
	task     definition.Object
	decision definition.Object // whose environment says where the repository is
	tasksFor string
	url      string // of the repository, as the decision task has it, without slashes at its end
	head     Commit
}

// parse reads what every kind of task has.
func (c *Checker) parse(task chain.ParentTask) (*parent, error) {
	p := &parent{ParentTask: task}
	var err error
	if p.task, err = definition.Parse(task.Definition); err != nil {
		return nil, refusef("%w", err)
	}
	if p.decision, err = definition.Parse(task.Decision); err != nil {
		return nil, refusef("its decision task: %w", err)
	}
	p.tasksFor = p.task.Text("extra", "tasks_for")
	if !slices.Contains(task.Policy.TasksFor, p.tasksFor) {
		return nil, refusef("it was made for %s in /extra/tasks_for, an event that the policy does not know", quote(p.tasksFor))
	}
	if isAction := p.tasksFor == forAction || p.tasksFor == forPullRequestAction; isAction != task.Action {
		return nil, refusef("it was made for %s in /extra/tasks_for, but what else it has says that it is %s", quote(p.tasksFor),
			map[bool]string{true: "an action task", false: "no action task"}[task.Action])
	}
	p.url = strings.TrimRight(p.env("HEAD_REPOSITORY"), "/")
	if p.url == "" {
		return nil, refusef("its decision task has no environment variable %s_HEAD_REPOSITORY", task.Policy.EnvPrefix)
	}
	if p.head.Repository, err = ParseRepository(p.url, c.Hosts); err != nil {
		return nil, err
	}
	p.head.Revision = p.env("HEAD_REV")
	// The event of a release names a tag and no commit.
	if err := checkRevision(p.head.Revision, task.Policy.Compat || p.decision.Text("extra", "tasks_for") == forRelease); err != nil {
		return nil, err
	}
	return p, nil
}

// env returns one of the decision task's environment variables that say where
// its repository is, "" if it is not there.
func (p *parent) env(name string) string {
	return p.decision.Text("payload", "env", p.Policy.EnvPrefix+"_"+name)
}

// tasksOf returns the definitions in a rendered template.
func tasksOf(result json.RawMessage) ([]definition.Object, error) {
	rendered, err := definition.Parse(result)
	if err != nil {
		return nil, refusef("the rendered template: %w", err)
	}
	list, ok := rendered["tasks"].([]any)
	if !ok || len(list) == 0 {
		return nil, refusef("the rendered template has no tasks")
	}
	rebuilt := make([]definition.Object, len(list))
	for i, task := range list {
		if rebuilt[i], ok = task.(definition.Object); !ok {
			return nil, refusef("the rendered template has something else than an object in its list of tasks")
		}
	}
	return rebuilt, nil
}
