package template_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/cot/template/render"
)

const (
	revision = "5a1e5c0ffee05a1e5c0ffee05a1e5c0ffee05a1e"
	decision = "Decision0000000000000A"
	action   = "Action000000000000000A"
	cron     = "Cron00000000000000000A"
)

// orchard is a Forge that knows what it is given, by lines such as
// "file hg.example.com/orchard@<revision> .taskcluster.yml".
type orchard map[string][]byte

func (o orchard) get(key string) ([]byte, error) {
	if text, ok := o[key]; ok {
		if text == nil {
			return nil, errors.New("cannot reach the orchard")
		}
		return text, nil
	}
	return nil, fmt.Errorf("%s %w", key, chain.ErrNotFound)
}

func at(c template.Commit) string {
	return c.Repository.Host + "/" + c.Repository.Path + "@" + c.Revision
}

func (o orchard) File(_ context.Context, c template.Commit, path string) ([]byte, error) {
	return o.get("file " + at(c) + " " + path)
}

func (o orchard) Pushes(_ context.Context, c template.Commit) ([]byte, error) {
	return o.get("pushes " + at(c))
}

func (o orchard) Fact(_ context.Context, about template.Fact) ([]byte, error) {
	return o.get(fmt.Sprintf("%s %s %s", about.Kind, about.Repository.Path, about.Name))
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func plant(t testing.TB) orchard {
	hg, github := read(t, "hg/.taskcluster.yml"), read(t, "github/.taskcluster.yml")
	return orchard{
		"file hg.example.com/orchard@" + revision + " .taskcluster.yml":    hg,
		"pushes hg.example.com/orchard@" + revision:                        read(t, "hg/pushlog.json"),
		"file github.com/orchard/apple@" + revision + " .taskcluster.yml":  github,
		"file github.com/orchard/apple@v1.2 .taskcluster.yml":              github,
		"file github.com/grace/apple@" + revision + " .taskcluster.yml":    github,
		"commit orchard/apple " + revision:                                 read(t, "github/commit.json"),
		"release orchard/apple v1.2":                                       read(t, "github/release-v1.2.json"),
		"repository grace/apple ":                                          read(t, "github/fork.json"),
		"pull-request orchard/apple 12":                                    read(t, "github/pull-12.json"),
		"file github.com/mallory/apple@" + revision + " .taskcluster.yml":  github,
		"file hg.example.com/wilderness@" + revision + " .taskcluster.yml": hg,
		"file hg.example.com/nursery@" + revision + " .taskcluster.yml":    hg,
		"pushes hg.example.com/nursery@" + revision:                        read(t, "hg/pushlog.json"),
	}
}

func checker(t testing.TB, forge template.Forge) *template.Checker {
	t.Helper()
	projects, err := template.ReadProjects(read(t, "projects.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return &template.Checker{
		Forge: forge, Renderer: child(t, render.Limits{}), Projects: projects,
		Hosts: map[string]template.Kind{"hg.example.com": template.Mercurial, "github.com": template.GitHub},
	}
}

// parents are tasks as they should be, by the names of their files.
func parents(t testing.TB) map[string]chain.ParentTask {
	tasks := map[string]chain.ParentTask{}
	for _, row := range []struct{ name, id, decision string }{
		{"hg/push", decision, ""},
		{"hg/cron", cron, ""},
		{"hg/action", action, "hg/push"},
		{"github/push", decision, ""},
		{"github/release", decision, ""},
		{"github/pull-request", decision, ""},
		{"github/untrusted", decision, ""},
		{"github/cron", decision, ""},
		{"github/action", action, "github/push"},
		{"github/pr-action", action, "github/push"},
	} {
		prefix := map[bool]string{true: "GECKO", false: "APPLE"}[strings.HasPrefix(row.name, "hg/")]
		task := chain.ParentTask{
			Policy: &chain.Policy{Profile: chain.Ed25519, EnvPrefix: prefix, TasksFor: []string{
				"hg-push", "cron", "action", "pr-action", "github-push", "github-release",
				"github-pull-request", "github-pull-request-untrusted",
			}},
			TaskID: row.id, Definition: read(t, row.name+".json"), DecisionID: row.id,
		}
		task.Decision = task.Definition
		if row.decision != "" {
			folder, _, _ := strings.Cut(row.name, "/")
			task.Action, task.DecisionID = true, decision
			task.Decision = read(t, row.decision+".json")
			task.Parameters, task.Actions = read(t, folder+"/parameters.yml"), read(t, folder+"/actions.json")
		}
		tasks[row.name] = task
	}
	return tasks
}

func TestMatches(t *testing.T) {
	t.Parallel()
	c := checker(t, plant(t))
	for name, task := range parents(t) {
		for _, compat := range []bool{false, true} {
			policy := *task.Policy
			policy.Compat = compat
			task.Policy = &policy
			if name == "github/action" && compat || name == "github/pr-action" && compat {
				continue // needs the parameters that only strict rules take from the decision task
			}
			found, err := c.Check(t.Context(), task)
			if err != nil || len(found) > 0 {
				t.Errorf("%s, compat %t: %v %v", name, compat, found, err)
			}
		}
	}
}

// change returns a definition with another value at a path; nil takes it away.
func change(t testing.TB, text []byte, path string, value any) []byte {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	names := strings.Split(path, "/")[1:]
	at := tree
	for _, name := range names[:len(names)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	if last := names[len(names)-1]; value == nil {
		delete(at, last)
	} else {
		at[last] = value
	}
	changed, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// either tells whether a rule is for both modes or only strict.
type modes string

const (
	both   modes = "both"
	strict modes = "strict"
)

func TestRefuses(t *testing.T) {
	t.Parallel()
	type edit struct {
		path  string
		value any
	}
	for name, row := range map[string]struct {
		task   string
		edits  []edit
		path   string // of the difference
		reason string
		modes  modes
	}{
		"extra member": {
			"hg/push",
			[]edit{{"/payload/env/EVIL", "1"}},
			"/payload/env/EVIL", `is "1", the template has nothing there`, both,
		},
		"extra member at the top": {
			"hg/push",
			[]edit{{"/extra/notify", map[string]any{"a": 1}}},
			"/extra/notify", `is {"a":1}, the template has nothing there`, both,
		},
		"member missing": {
			"hg/push",
			[]edit{{"/payload/maxRunTime", nil}},
			"/payload/maxRunTime", "is not there, the template says 1800", both,
		},
		"number": {
			"hg/push",
			[]edit{{"/payload/maxRunTime", 1801}},
			"/payload/maxRunTime", "is 1801, the template says 1800", both,
		},
		"number for text": {
			"hg/push",
			[]edit{{"/scopes", "all"}},
			"/scopes", `is "all", the template says ["assume:repo:`, both,
		},
		"longer list": {
			"hg/push",
			[]edit{{"/scopes", []string{"assume:repo:hg.example.com/orchard:hg-push", "more"}}},
			"/scopes/1", `is "more", the template's list ends before`, both,
		},
		"shorter list": {
			"hg/push",
			[]edit{{"/payload/command", []string{"/bin/run-task"}}},
			"/payload/command/1", `is not there, the template says "taskgraph decision`, both,
		},
		"command": {
			"hg/push",
			[]edit{{"/payload/command", []string{"/bin/run-task", "evil"}}},
			"/payload/command/1", `is "evil", the template says "taskgraph decision`, both,
		},
		"other pool": {
			"hg/push",
			[]edit{{"/provisionerId", "wild"}, {"/taskQueueId", nil}},
			"/taskQueueId", `is "wild/decision-3", the template says "orchard/decision-3"`, both,
		},
		"two pools": {
			"hg/push",
			[]edit{{"/provisionerId", "wild"}},
			"/taskQueueId", `says "orchard/decision-3" there, and "wild/decision-3"`, strict,
		},
		"no pool": {
			"hg/push",
			[]edit{{"/provisionerId", nil}, {"/taskQueueId", nil}},
			"/taskQueueId", "has neither taskQueueId nor both", both,
		},
		"project": {
			"hg/push",
			[]edit{{"/projectId", "other"}},
			"/projectId", `is "other", the template says "none"`, both,
		},
		"environment with null": {
			"hg/push",
			[]edit{{"/payload/env/CHECK", "null"}},
			"/payload/env/CHECK", `is "null", the template has nothing there`, strict,
		},
		"null in a list": {
			"hg/push",
			[]edit{{"/scopes", []any{"assume:repo:hg.example.com/orchard:hg-push", "null"}}},
			"/scopes/1", `is "null"`, strict,
		},
		"bad comment": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_COMMIT_MSG", "graft it"}},
			"", `its comment "graft it" is neither one blank nor the line`, both,
		},
		"comment that goes on": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_COMMIT_MSG", "try: -b do -p apple\nmore"}},
			"", "is neither one blank", both,
		},
		"unknown event": {
			"hg/push",
			[]edit{{"/extra/tasks_for", "moon"}},
			"", `it was made for "moon" in /extra/tasks_for`, both,
		},
		"no event": {
			"hg/push",
			[]edit{{"/extra/tasks_for", nil}},
			"", `it was made for "" in /extra/tasks_for`, both,
		},
		"event of another kind of repository": {
			"hg/push",
			[]edit{{"/extra/tasks_for", "github-push"}},
			"", "an event that a repository on hg.example.com cannot have", both,
		},
		"event of an action": {
			"hg/push",
			[]edit{{"/extra/tasks_for", "action"}},
			"", "says that it is no action task", both,
		},
		"action with another event": {
			"hg/action",
			[]edit{{"/extra/tasks_for", "hg-push"}},
			"", "says that it is an action task", both,
		},
		"pull request's action on Mercurial": {
			"hg/action",
			[]edit{{"/extra/tasks_for", "pr-action"}},
			"", "an event that a repository on hg.example.com cannot have", both,
		},
		"unknown project": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_HEAD_REPOSITORY", "https://hg.example.com/wilderness"}},
			"", "is no project that the policy knows", both,
		},
		"project without level": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_HEAD_REPOSITORY", "https://hg.example.com/nursery"}},
			"", "has no level", both,
		},
		"unknown host": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_HEAD_REPOSITORY", "https://hg.example.org/orchard"}},
			"", "on a server that the policy does not name", both,
		},
		"no repository": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_HEAD_REPOSITORY", nil}},
			"", "no environment variable GECKO_HEAD_REPOSITORY", both,
		},
		"unknown revision": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_HEAD_REV", strings.Repeat("1", 40)}},
			"", "does not exist", both,
		},
		"name for a revision": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_HEAD_REV", "default"}},
			"", `the revision "default" is no full hash`, both,
		},
		"revision that leads elsewhere": {
			"hg/push",
			[]edit{{"/payload/env/GECKO_HEAD_REV", "a/../../b"}},
			"", "the revision", both,
		},
		"created": {"hg/push", []edit{{"/created", "yesterday"}}, "", "its /created is no time", both},
		"later deadline": {
			"hg/push",
			[]edit{{"/deadline", "2031-03-03T10:00:00.000Z"}},
			"/deadline", `is "2031-03-03`, both,
		},
		"cron without job":   {"hg/cron", []edit{{"/extra/cron", nil}}, "", "its /extra/cron: ", both},
		"cron's other owner": {"hg/cron", []edit{{"/metadata/owner", "eve@example.com"}}, "/metadata/owner", `is "eve`, both},
		"cron with comment": {
			"hg/cron",
			[]edit{{"/payload/env/GECKO_COMMIT_MSG", "graft it"}},
			"/payload/env/GECKO_COMMIT_MSG", `is "graft it", the template says ""`, both,
		},
		"action's input": {
			"hg/action",
			[]edit{{"/payload/env/ACTION_INPUT", `{"branch":"high"}`}},
			"/payload/env/ACTION_INPUT", `is "{\"branch\":\"high\"}"`, both,
		},
		"action's other input": {
			"hg/action",
			[]edit{{"/extra/action/context/input", map[string]any{"count": 3}}},
			"/payload/env/ACTION_INPUT", `the template says "{\"count\":3}"`, both,
		},
		"action's parameters": {
			"hg/action",
			[]edit{{"/extra/action/context/parameters/level", "1"}},
			"/extra/action/context/parameters/level", `is "1", the template says "3"`, both,
		},
		"action without input": {
			"hg/action",
			[]edit{{"/extra/action/context/input", nil}},
			"", "no /extra/action/context/input", both,
		},
		"unknown callback": {
			"hg/action",
			[]edit{{"/payload/env/ACTION_CALLBACK", "burn"}},
			"", `no action with its ACTION_CALLBACK "burn"`, both,
		},
		"no callback": {
			"hg/action",
			[]edit{{"/payload/env/ACTION_CALLBACK", nil}},
			"", `no action with its ACTION_CALLBACK ""`, both,
		},
		"action of another kind": {
			"hg/action",
			[]edit{{"/payload/env/ACTION_CALLBACK", "water"}},
			"", `its action is of kind "task"`, both,
		},
		"action's scope": {
			"hg/action",
			[]edit{{"/scopes", []string{"assume:repo:hg.example.com/orchard:action:generic"}}},
			"/scopes/0", "action:pruning", both,
		},
		"action in a foreign group": {
			"hg/action",
			[]edit{{"/payload/env/ACTION_TASK_GROUP_ID", "Foreign00000000000000A"}},
			"", `is neither its own id nor that of its decision task`, strict,
		},
		"action in no group": {
			"hg/action",
			[]edit{{"/payload/env/ACTION_TASK_GROUP_ID", nil}},
			"", "ACTION_TASK_GROUP_ID", both,
		},
		"other pusher": {
			"github/push",
			[]edit{{"/metadata/description", "by mallory"}},
			"/metadata/description", `the template says "by grace"`, both,
		},
		"other repository": {
			"github/push",
			[]edit{{"/payload/env/APPLE_HEAD_REPOSITORY", "https://github.com/mallory/apple"}},
			"", "does not exist", both,
		},
		"release of another time": {
			"github/release",
			[]edit{{"/payload/env/PUBLISHED", "2031-01-01T00:00:00Z"}},
			"/payload/env/PUBLISHED", "the template says", both,
		},
		"pull request's number": {
			"github/pull-request",
			[]edit{{"/payload/env/APPLE_PULL_REQUEST_NUMBER", "12/files"}},
			"", "is no number", both,
		},
		"other pull request": {
			"github/pull-request",
			[]edit{{"/payload/env/APPLE_PULL_REQUEST_NUMBER", "13"}},
			"", "does not exist", both,
		},
		"pull request's base": {
			"github/pull-request",
			[]edit{{"/payload/env/APPLE_BASE_REPOSITORY", "https://github.com/mallory/apple"}},
			"/payload/env/APPLE_BASE_REPOSITORY", `the template says "https://github.com/orchard/apple"`, both,
		},
		"cron's level": {
			"github/cron",
			[]edit{{"/payload/env/LEVEL", "1"}},
			"/payload/env/LEVEL", `is "1", the template says "3"`, both,
		},
		"fork with a project's name": {"github/cron", []edit{
			{"/payload/env/APPLE_HEAD_REPOSITORY", "https://github.com/mallory/apple"},
			{"/metadata/source", "https://github.com/mallory/apple/raw/" + revision + "/.taskcluster.yml"},
			{"/scopes", []string{"assume:repo:github.com/mallory/apple:cron"}},
		}, "", "is no project that the policy knows", strict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := parents(t)[row.task]
			policy := *task.Policy
			task.Policy = &policy
			for _, edit := range row.edits {
				task.Definition = change(t, task.Definition, edit.path, edit.value)
			}
			if !task.Action {
				task.Decision = task.Definition
			}
			c := checker(t, plant(t))
			found, err := c.Check(t.Context(), task)
			if err != nil {
				t.Fatal(err)
			}
			if !hasDifference(found, row.path, row.reason) {
				t.Errorf("got %+v", found)
			}
			policy.Compat = true
			found, err = c.Check(t.Context(), task)
			if err != nil {
				t.Fatal(err)
			}
			if refused := len(found) > 0; refused != (row.modes == both) {
				t.Errorf("with compat, got %+v", found)
			}
		})
	}
}

func hasDifference(found []chain.Difference, path, reason string) bool {
	for _, d := range found {
		if d.Path == path && strings.Contains(d.Reason, reason) {
			return true
		}
	}
	return false
}
