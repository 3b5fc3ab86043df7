package template_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/cot/template/render"
)

// anything is a Forge that always says the same, and a Renderer whose result is
// the task itself.
type anything struct{ document, result []byte }

func (a anything) File(context.Context, template.Commit, string) ([]byte, error) {
	return a.document, nil
}

func (a anything) Pushes(context.Context, template.Commit) ([]byte, error) { return a.document, nil }

func (a anything) Fact(context.Context, template.Fact) ([]byte, error) { return a.document, nil }

func (a anything) Render(context.Context, render.Job) (json.RawMessage, error) { return a.result, nil }

// FuzzReadProjects reads files that may be anything: what is read has a name
// each, once, in order.
func FuzzReadProjects(f *testing.F) {
	f.Add(read(f, "projects.yml"))
	f.Add([]byte("a: &x {repo: https://h/a/, repo_type: hg, access: scm_level_3}\nb: *x\n"))
	f.Add([]byte("a: {repo: x, repo_type: git, default_branch: '*', branches: [{name: '*', level: 1}]}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		projects, err := template.ReadProjects(text)
		if err == nil && len(projects) == 0 {
			t.Error("there are no projects, and no error")
		}
		for i, p := range projects {
			if i > 0 && projects[i-1].Name >= p.Name || strings.HasSuffix(p.Repository, "/") {
				t.Errorf("project %d is %+v", i, p)
			}
		}
	})
}

// FuzzCheck gives everything that comes from outside to a Checker: definitions,
// documents, and what templates render to. It must not break, not accept
// what is no task, and give each difference a reason of bounded length.
func FuzzCheck(f *testing.F) {
	tasks := parents(f)
	for _, name := range []string{"hg/push", "hg/cron", "github/push", "github/release", "github/pull-request", "github/cron"} {
		for _, document := range []string{"hg/pushlog.json", "github/commit.json", "github/pull-12.json", "github/fork.json"} {
			f.Add([]byte(tasks[name].Definition), read(f, document), false)
		}
	}
	f.Add([]byte(tasks["hg/action"].Definition), tasks["hg/action"].Actions, true)
	f.Add([]byte(tasks["github/pr-action"].Definition), tasks["github/pr-action"].Actions, true)
	events := tasks["hg/push"].Policy.TasksFor
	f.Fuzz(func(t *testing.T, task, document []byte, isAction bool) {
		from := anything{document: document, result: append(append([]byte(`{"tasks":[`), task...), "]}"...)}
		c := checker(t, from)
		c.Renderer = from
		for _, prefix := range []string{"GECKO", "APPLE"} {
			for _, compat := range []bool{false, true} {
				found, err := c.Check(t.Context(), chain.ParentTask{
					Policy: &chain.Policy{Profile: chain.Ed25519, EnvPrefix: prefix, TasksFor: events, Compat: compat},
					TaskID: action, Definition: task, Action: isAction, DecisionID: decision, Decision: task,
					Parameters: document, Actions: document,
				})
				for _, d := range found {
					if d.Reason == "" || len(d.Reason) > 2000 {
						t.Errorf("difference %q for reason %.100q", d.Path, d.Reason)
					}
				}
				if err == nil && found == nil && !json.Valid(task) {
					t.Errorf("accepted %q", task)
				}
			}
		}
	})
}
