package source_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/cot/template/render"
	"github.com/taskcluster/generic-worker/internal/source"
	"github.com/taskcluster/generic-worker/internal/source/offline"
)

// tree is a template that makes the task below of a push.
const tree = `
tasks:
  - taskQueueId: orchard/decision
    created: {$fromNow: ''}
    metadata: {owner: {$if: 'tasks_for == "hg-push"', then: '${push.owner}', else: '${event.sender.login}'}}
    payload:
      env:
        TREE_HEAD_REPOSITORY: {$if: 'tasks_for == "hg-push"', then: '${repository.url}', else: '${event.repository.html_url}'}
        TREE_HEAD_REV: {$if: 'tasks_for == "hg-push"', then: '${push.revision}', else: '${event.after}'}
    extra: {tasks_for: '${tasks_for}'}
`

// TestTemplates checks decision tasks with what comes from servers, from a
// directory, through a recorder, and from the bundle that it makes.
func TestTemplates(t *testing.T) {
	t.Parallel()
	const (
		pushes = `{"pushes":{"7":{"changesets":[{"node":"` + revision + `","parents":["x"],"desc":""}],"date":1,"user":"ada"}}}`
		commit = `{"committer":{"login":"ada"}}`
	)
	web := serve(t, answers(map[string]string{
		"/fruit/orchard/raw-file/" + revision + "/.taskcluster.yml":         tree,
		"/fruit/orchard/json-pushes?version=2&full=1&changeset=" + revision: pushes,
		"/orchard/apple/" + revision + "/.taskcluster.yml":                  tree,
		"/repos/orchard/apple/commits/" + revision:                          commit,
	}))
	servers := &source.Forge{Servers: map[string]source.Server{
		"hg.example.com": {Kind: template.Mercurial, Web: web},
		"github.com":     {Kind: template.GitHub, API: web, Raw: web},
	}, Limits: quick}

	dir := t.TempDir()
	files := fstest.MapFS{
		"hg.example.com/fruit/orchard/@tree/" + revision + "/.taskcluster.yml": {Data: []byte(tree)},
		"hg.example.com/fruit/orchard/@facts/pushes-" + revision + ".json":     {Data: []byte(pushes)},
		"github.com/orchard/apple/@tree/" + revision + "/.taskcluster.yml":     {Data: []byte(tree)},
		"github.com/orchard/apple/@facts/commit-" + revision + ".json":         {Data: []byte(commit)},
	}
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(t.TempDir(), "bundle")
	recorder, err := offline.NewRecorder(bundle, offline.Answers{Forge: servers})
	if err != nil {
		t.Fatal(err)
	}
	checkDecisions(t, "servers", servers)
	checkDecisions(t, "directory", offline.Directory{Path: dir})
	checkDecisions(t, "recorder", recorder)
	if err := recorder.Finish(); err != nil {
		t.Fatal(err)
	}
	kept, err := offline.OpenBundle(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	checkDecisions(t, "bundle", kept)
}

// checkDecisions checks a decision task of each kind of server as it should be,
// and made by another person.
func checkDecisions(t *testing.T, name string, forge template.Forge) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	checker := &template.Checker{
		Forge: forge, Renderer: render.Child{Argv: []string{self, childArgument}},
		Hosts:    map[string]template.Kind{"hg.example.com": template.Mercurial, "github.com": template.GitHub},
		Projects: []template.Project{{Name: "orchard", Repository: "https://hg.example.com/fruit/orchard", Level: "3"}},
	}
	for event, url := range map[string]string{
		"hg-push": "https://hg.example.com/fruit/orchard", "github-push": "https://github.com/orchard/apple",
	} {
		for owner, differences := range map[string]int{"ada": 0, "eve": 1} {
			definition, err := json.Marshal(map[string]any{
				"taskQueueId": "orchard/decision", "created": "2031-03-01T10:00:00.000Z",
				"metadata": map[string]any{"owner": owner},
				"payload":  map[string]any{"env": map[string]any{"TREE_HEAD_REPOSITORY": url, "TREE_HEAD_REV": revision}},
				"extra":    map[string]any{"tasks_for": event},
			})
			if err != nil {
				t.Fatal(err)
			}
			found, err := checker.Check(t.Context(), chain.ParentTask{
				Policy: &chain.Policy{Profile: chain.Ed25519, EnvPrefix: "TREE", TasksFor: []string{event}},
				TaskID: taskID, Definition: definition, DecisionID: taskID, Decision: definition,
			})
			if err != nil || len(found) != differences {
				t.Errorf("%s, %s by %s: %v, error %v", name, event, owner, found, err)
			}
		}
	}
}
