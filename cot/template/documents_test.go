package template_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
)

// TestForeignDocuments changes what comes from servers and decision tasks.
func TestForeignDocuments(t *testing.T) {
	t.Parallel()
	hgFile := "file hg.example.com/orchard@" + revision + " .taskcluster.yml"
	pushes := "pushes hg.example.com/orchard@" + revision
	yml := string(read(t, "hg/.taskcluster.yml"))
	for name, row := range map[string]struct {
		task, key string
		text      []byte
		reason    string // of a difference without a path
		failure   string // or of an error
	}{
		"no server":             {"hg/push", hgFile, nil, "", "cannot reach the orchard"},
		"no server for facts":   {"github/push", "commit orchard/apple " + revision, nil, "", "cannot reach the orchard"},
		"fact that is none":     {"github/push", "commit orchard/apple " + revision, []byte("<html>"), "", "cannot read commit"},
		"pushlog that is none":  {"hg/push", pushes, []byte("<html>"), "", "cannot read the pushlog"},
		"no push":               {"hg/push", pushes, []byte(`{"pushes":{}}`), "the pushlog has 0 pushes", ""},
		"another push":          {"hg/push", pushes, bytes.ReplaceAll(read(t, "hg/pushlog.json"), []byte(revision), []byte(strings.Repeat("2", 40))), "does not contain it", ""},
		"two pushes":            {"hg/push", pushes, bytes.Replace(read(t, "hg/pushlog.json"), []byte(`"pushes": {`), []byte(`"pushes": {"9":{"changesets":[]},`), 1), "the pushlog has 2 pushes", ""},
		"push without parents":  {"hg/push", pushes, []byte(`{"pushes":{"1":{"changesets":[{"node":"a"}]}}}`), "no parents", ""},
		"pull request unread":   {"github/pull-request", "pull-request orchard/apple 12", []byte(`{}`), "", "no head or no base"},
		"fork without parent":   {"github/pull-request", "repository grace/apple ", []byte(`{"fork":true}`), "", "no full name"},
		"no YAML":               {"hg/push", hgFile, []byte("a: [b"), "template cannot be rendered: ", ""},
		"empty template":        {"hg/push", hgFile, []byte(""), "it is empty", ""},
		"two documents":         {"hg/push", hgFile, []byte(yml + "---\ntasks: []\n"), "second document", ""},
		"member twice":          {"hg/push", hgFile, []byte(yml + "tasks: []\n"), "already defined", ""},
		"unknown variable":      {"hg/push", hgFile, []byte("tasks: ['${moon}']"), "undefined variable moon", ""},
		"unknown operator":      {"hg/push", hgFile, []byte("tasks: [{$moon: 1}]"), "$moon", ""},
		"no tasks":              {"hg/push", hgFile, []byte("version: 1"), "has no tasks", ""},
		"empty tasks":           {"hg/push", hgFile, []byte("tasks: [{$if: 'false', then: {}}]"), "has no tasks", ""},
		"tasks that are none":   {"hg/push", hgFile, []byte("tasks: [1]"), "something else than an object", ""},
		"text":                  {"hg/push", hgFile, []byte("hello"), "no object", ""},
		"infinity":              {"hg/push", hgFile, []byte("tasks: [{$eval: '400 ** 400'}]"), "cannot write its result", ""},
		"date":                  {"hg/push", hgFile, []byte("tasks: [2031-01-01]"), "put it into quotes", ""},
		"time that is none":     {"hg/push", hgFile, []byte("tasks: [{$fromNow: soon}]"), "invalid time expression", ""},
		"action without group":  {"hg/action", hgFile, []byte("tasks: [{payload: {}}]"), "ACTION_TASK_GROUP_ID", ""},
		"action of other group": {"hg/action", hgFile, []byte("tasks: [{payload: {env: {ACTION_TASK_GROUP_ID: x}}}]"), `has the ACTION_TASK_GROUP_ID "x"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forge := maps.Clone(plant(t))
			forge[row.key] = row.text
			found, err := checker(t, forge).Check(t.Context(), parents(t)[row.task])
			if row.failure != "" {
				if err == nil || !strings.Contains(err.Error(), row.failure) {
					t.Errorf("got %v, error %v", found, err)
				}
				return
			}
			if err != nil || !hasDifference(found, "", row.reason) {
				t.Errorf("got %v, error %v", found, err)
			}
		})
	}
}

func TestDecisionTasksFiles(t *testing.T) {
	t.Parallel()
	c := checker(t, plant(t))
	for name, row := range map[string]struct {
		edit   func(*chain.ParentTask)
		reason string
	}{
		"actions":    {func(p *chain.ParentTask) { p.Actions = []byte("{") }, "actions.json of its decision task"},
		"parameters": {func(p *chain.ParentTask) { p.Parameters = []byte("a: [") }, "cannot read its value parameters"},
		"none":       {func(p *chain.ParentTask) { p.Parameters = nil }, "it is empty"},
		"definition": {func(p *chain.ParentTask) { p.Definition = []byte("[]") }, "no object"},
		"decision":   {func(p *chain.ParentTask) { p.Decision = []byte("[]") }, "its decision task"},
		"permission": {func(p *chain.ParentTask) {
			p.Actions = bytes.Replace(p.Actions, []byte(`"pruning"`), []byte("7"), 1)
		}, "is no text"},
	} {
		task := parents(t)["hg/action"]
		row.edit(&task)
		if found, err := c.Check(t.Context(), task); err != nil || !hasDifference(found, "", row.reason) {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
}

// TestActionsOwnGroup shows that an action may create tasks in its own group.
func TestActionsOwnGroup(t *testing.T) {
	t.Parallel()
	task := parents(t)["hg/action"]
	task.Definition = change(t, task.Definition, "/payload/env/ACTION_TASK_GROUP_ID", action)
	if found, err := checker(t, plant(t)).Check(t.Context(), task); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	for hookAndPermission, want := range map[string]string{
		`"extra":{"actionPerm":"a"},"actionPerm":"b","hookId":"x-generic/1"`: "a",
		`"actionPerm":"b","hookId":"x-generic/1"`:                            "b",
		`"hookId":"x-generic/1"`:                                             "generic",
		`"hookId":"x-prune/1"`:                                               "prune",
		`"note":"x"`:                                                         "generic",
		`"actionPerm":"${taskId}","hookId":"x"`:                              "${taskId}",
	} {
		task := parents(t)["hg/action"]
		task.Actions = bytes.Replace(task.Actions, []byte(`"hookId": "in-tree-action-3-generic/1",`), nil, 1)
		task.Actions = bytes.Replace(task.Actions, []byte(`"kind": "hook",`), []byte(`"kind":"hook",`+hookAndPermission+","), 1)
		task.Actions = bytes.Replace(task.Actions, []byte("\"extra\": {\n    \"actionPerm\": \"pruning\"\n   },"), nil, 1)
		task.Definition = change(t, task.Definition, "/scopes", []string{"assume:repo:hg.example.com/orchard:action:" + want})
		if found, err := checker(t, plant(t)).Check(t.Context(), task); err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", hookAndPermission, found, err)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	task := parents(t)["hg/push"]
	task.Definition = change(t, task.Definition, "/payload/caches", map[string]any{})
	got, err := checker(t, plant(t)).Explain(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	want := template.Comparison{Ignored: []string{"/dependencies", "/payload/caches"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
