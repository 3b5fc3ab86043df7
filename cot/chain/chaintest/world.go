package chaintest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
)

// Map is a JSON object.
type Map = map[string]any

// The tasks of a new World.
const (
	Signing  = "SigningTask-----------" // the task to verify, on scriptworker
	Build    = "BuildTask-------------" // on docker-worker, in an image of the chain
	Image    = "DockerImageTask-------" // builds that image
	Decision = "DecisionTask----------" // has made all of them
)

// What the tasks of a new World are about.
const (
	Scope      = "project:signing:release" // the restricted scope of Signing
	Source     = "https://hg.example.org/trees/main/file/0123abcd/taskcluster"
	Repository = "https://hg.example.org/trees/main"
	Artifact   = "public/build/target.zip" // what Signing wants of Build
	ImagePath  = "public/image.tar.zst"
)

// World is a queue with tasks, the keys of their workers, and the repository
// they are from. It is a chain.Source and chain.Templates.
type World struct {
	Profile chain.Profile
	Policy  *chain.Policy
	Tasks   map[string]*Task
	// Resolved is when all runs were resolved; they took half an hour.
	Resolved time.Time
	// Signers are the keys: of the worker implementations, "stranger", whom
	// nobody trusts, and in profile gpg "trusted", who certifies scriptworkers.
	Signers map[string]*Signer
	// Graphs are what decision and action tasks publish, after Publish.
	Graphs map[string]Map

	t      testing.TB
	wanted map[string]json.RawMessage // the definitions that the repository wants
}

// Task is one task.
type Task struct {
	ID         string
	Definition Map
	Files      map[string][]byte // artifacts, after Sign also the certificate
	Runs       []chain.Run
	// Environment is what the worker says about itself.
	Environment Map
	// Signer names the one of World.Signers that signs; "": no certificate.
	Signer string
	// Certify changes what the worker swears, and Encode the bytes of that.
	Certify func(Map)
	Encode  func([]byte) []byte
}

// New makes a World in which all is as it should be.
func New(t testing.TB, profile chain.Profile) *World {
	t.Helper()
	w := &World{
		Profile: profile, Tasks: map[string]*Task{}, Graphs: map[string]Map{}, t: t, wanted: map[string]json.RawMessage{},
		Resolved: time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond),
	}
	w.makeSigners()
	w.Policy = w.policy()

	w.AddDecision(Decision)
	w.Add(Image, "built-pool/images", trust.DockerWorker, Map{
		"image": "image-builder", "features": Map{"chainOfTrust": true}, "env": Map{},
	}).Files[ImagePath] = []byte("layers")
	w.Tasks[Image].Environment["imageHash"] = "sha256:builder"

	build := w.Add(Build, "built-pool/builders", trust.DockerWorker, Map{
		"image":    Map{"type": "task-image", "taskId": Image, "path": ImagePath},
		"features": Map{"chainOfTrust": true}, "env": Map{"LEVEL": "3"}, "maxRunTime": 3600,
		"artifacts": Map{"public/build": Map{"type": "directory", "path": "/builds", "expires": w.date(24 * time.Hour)}},
	})
	build.Files[Artifact] = []byte("a program")
	build.Files["public/build/target.txt"] = []byte("a text")
	build.Set(Image, "extra", "chainOfTrust", "inputs", "docker-image")
	build.Environment["imageArtifactHash"] = "sha256:" + sum([]byte("layers"))

	signing := w.Add(Signing, "scriptworker-prov-v1/signing", trust.ScriptWorker, Map{
		"maxRunTime":        600,
		"upstreamArtifacts": []any{Map{"taskId": Build, "taskType": "build", "paths": []any{Artifact}, "formats": []any{"gpg"}}},
	})
	signing.Set([]any{Scope}, "scopes")
	signing.Set([]any{Build}, "dependencies")
	return w
}

func (w *World) policy() *chain.Policy {
	p := &chain.Policy{
		Profile: w.Profile, TaskTypes: trust.DefaultTaskTypes(w.Profile), ImplRules: trust.DefaultImplRules(w.Profile),
		Keys:             w.trustedKeys(),
		ParentPools:      []string{"built-pool/decision"},
		ImagePools:       []string{"built-pool/images"},
		ImageCommands:    [][]string{{"/bin/bash", "-c", "build-image"}},
		ImageAllowlist:   map[string][]string{"decision": {"sha256:decision"}, "docker-image": {"sha256:builder"}},
		PrebuiltTypes:    []string{"decision", "action", "docker-image"},
		RestrictedScopes: map[string]string{Scope: "release-trees"},
		RestrictedTrees:  map[string][]string{"release-trees": {"/trees/main"}},
		TasksFor:         []string{"hg-push", "cron", "action"},
		EnvPrefix:        "TREE",
		VCSRules: []chain.VCSRule{{
			Schemes: []string{"https"}, Hosts: []string{"hg.example.org"},
			Paths: []*regexp.Regexp{regexp.MustCompile(`^(?P<path>/(?:trees/[a-z-]+|try))`)},
		}},
		Untrusted: chain.Untrusted{
			Paths: []string{"try"}, Env: map[string][]string{"MH_BRANCH": {"try"}},
			SchedulerIDs: []string{"level-1"}, TasksFor: []string{"github-pull-request"},
		},
	}
	if w.Profile == chain.GPG {
		p.ParentPools, p.ImagePools = []string{"decision"}, []string{"images"}
	}
	return p
}

// AddDecision adds a decision task, which is in its own group.
func (w *World) AddDecision(id string) *Task {
	task := w.Add(id, "built-pool/decision", trust.DockerWorker, Map{
		"image": "decision", "features": Map{"chainOfTrust": true},
		"env":     Map{"TREE_HEAD_REPOSITORY": Repository, "TREE_HEAD_REV": "0123abcd"},
		"command": []any{"/run-task", "--", "bash", "-cx", "cd /tree && ./mach taskgraph decision"},
	})
	task.Set(id, "taskGroupId")
	task.Set([]any{}, "dependencies")
	task.Set([]any{"assume:repo:hg.example.org/trees/main:branch:default"}, "scopes")
	task.Definition["extra"] = Map{"tasks_for": "hg-push"}
	task.Files["public/actions.json"] = []byte(`{"version":1,"actions":[]}`)
	task.Files["public/parameters.yml"] = []byte("level: '3'\n")
	task.Environment["imageHash"] = "sha256:decision"
	return task
}

// Add adds a task that Decision has made.
func (w *World) Add(id, pool, implementation string, payload Map) *Task {
	provisioner, workerType, _ := strings.Cut(pool, "/")
	task := &Task{
		ID: id, Files: map[string][]byte{"public/logs/live_backing.log": []byte("log of " + id)},
		Environment: Map{}, Signer: implementation,
		Runs: []chain.Run{{State: "completed", Started: w.Resolved.Add(-30 * time.Minute), Resolved: w.Resolved}},
		Definition: Map{
			"provisionerId": provisioner, "workerType": workerType, "schedulerId": "level-3", "taskGroupId": Decision,
			"dependencies": []any{Decision}, "requires": "all-completed", "routes": []any{}, "priority": "lowest", "retries": 5,
			"created": w.date(0), "deadline": w.date(24 * time.Hour), "expires": w.date(48 * time.Hour),
			"scopes": []any{}, "payload": payload, "tags": Map{}, "extra": Map{},
			"metadata": Map{"name": id, "description": id, "owner": "release@example.org", "source": Source},
		},
	}
	if w.Profile == chain.Ed25519 {
		task.Definition["taskQueueId"], task.Definition["projectId"] = pool, "none"
		task.Definition["extra"] = Map{"parent": Decision}
	}
	w.Tasks[id] = task
	return task
}

func (w *World) date(after time.Duration) string {
	return w.Resolved.Add(after - time.Hour).Format("2006-01-02T15:04:05.000Z")
}

// Set puts a value into the task's definition, and makes the objects on the way.
func (task *Task) Set(value any, path ...string) {
	inner := task.Definition
	for _, name := range path[:len(path)-1] {
		next, ok := inner[name].(Map)
		if !ok {
			next = Map{}
			inner[name] = next
		}
		inner = next
	}
	inner[path[len(path)-1]] = value
}

// Delete removes a member from the task's definition.
func (task *Task) Delete(path ...string) {
	inner := task.Definition
	for _, name := range path[:len(path)-1] {
		inner, _ = inner[name].(Map)
	}
	delete(inner, path[len(path)-1])
}

// Publish lets decision and action tasks publish their graphs, and the
// repository want those tasks as they are now.
func (w *World) Publish() {
	for id, task := range w.Tasks {
		if !w.isParent(task) {
			continue
		}
		w.wanted[id] = w.encode(task.Definition)
		graph := Map{}
		for _, child := range w.Tasks {
			if !w.isParent(child) && w.creator(child) == id {
				graph[child.ID] = Map{"label": child.ID, "task": w.planned(child)}
			}
		}
		w.Graphs[id] = graph
	}
}

func (w *World) isParent(task *Task) bool {
	return task.Definition["workerType"] == "decision"
}

func (w *World) creator(task *Task) string {
	extra, _ := task.Definition["extra"].(Map)
	if parent, ok := extra["parent"].(string); ok {
		return parent
	}
	group, _ := task.Definition["taskGroupId"].(string)
	return group
}

// planned is a task as its graph has it: without what the queue adds.
func (w *World) planned(task *Task) Map {
	var planned Map
	if err := json.Unmarshal(w.encode(task.Definition), &planned); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"taskGroupId", "taskQueueId", "projectId", "requires", "retries"} {
		delete(planned, name)
	}
	if w.Profile == chain.Ed25519 {
		planned["created"] = Map{"relative-datestamp": "0 seconds"}
		planned["deadline"] = Map{"relative-datestamp": "1 day"}
		payload, _ := planned["payload"].(Map)
		artifacts, _ := payload["artifacts"].(Map)
		for _, entry := range artifacts {
			entry.(Map)["expires"] = Map{"relative-datestamp": "1 day"}
		}
	}
	return planned
}

func (w *World) encode(value any) []byte {
	encoded, err := json.Marshal(value)
	if err != nil {
		w.t.Fatal(err)
	}
	return encoded
}

// Task returns a task as the queue has it.
func (w *World) Task(_ context.Context, taskID string) (*chain.Task, error) {
	task := w.Tasks[taskID]
	if task == nil {
		return nil, fmt.Errorf("task %s %w", taskID, chain.ErrNotFound)
	}
	encoded, err := json.Marshal(task.Definition)
	return &chain.Task{Definition: encoded, Runs: task.Runs}, err
}

// Artifact returns an artifact of the last run.
func (w *World) Artifact(_ context.Context, taskID string, runID int, name string) (io.ReadCloser, error) {
	task := w.Tasks[taskID]
	if task == nil || runID != len(task.Runs)-1 || task.Files[name] == nil {
		return nil, fmt.Errorf("artifact %s %w", name, chain.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(task.Files[name])), nil
}

// Artifacts returns the names of the artifacts of the last run.
func (w *World) Artifacts(_ context.Context, taskID string, runID int) ([]string, error) {
	task := w.Tasks[taskID]
	if task == nil || runID != len(task.Runs)-1 {
		return nil, chain.ErrNotFound
	}
	return slices.Sorted(maps.Keys(task.Files)), nil
}

// Check compares a decision or action task with what it was at Publish.
func (w *World) Check(_ context.Context, task chain.ParentTask) ([]chain.Difference, error) {
	if w.wanted[task.TaskID] == nil {
		return []chain.Difference{{Reason: "the repository does not make this task"}}, nil
	}
	if task.Action && (len(task.Actions) == 0 || len(task.Parameters) == 0) {
		return nil, errors.New("an action is to be checked without actions.json and parameters.yml")
	}
	is, err := definition.Parse(task.Definition)
	if err != nil {
		return nil, err
	}
	should, err := definition.Parse(w.wanted[task.TaskID])
	if err != nil {
		return nil, err
	}
	if path, differ := definition.Diff(should, is); differ {
		return []chain.Difference{{Path: path, Reason: "it is not as in the repository"}}, nil
	}
	return nil, nil
}

// Request asks for the verification of Signing.
func (w *World) Request(dir string) chain.Request {
	return chain.Request{TaskID: Signing, TaskType: "signing", Policy: w.Policy, Source: w, Templates: w, Dir: dir}
}
