package chain_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/chaintest"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
	"github.com/taskcluster/generic-worker/gpg"
)

type (
	world  = chaintest.World
	object = chaintest.Map
)

// scenario is a chain that differs from the good one of chaintest in some way.
type scenario struct {
	name    string
	profile chain.Profile // "": both
	// made changes the tasks before they are published, published what the graph
	// then does not know of, and signed what certificates do not know of.
	made, published, signed func(*world)
	request                 func(*chain.Request)
	// fails are the rules that must fail, as in "task-graph BuildTask"; none: it
	// must be verified.
	fails []string
}

func profiles(s scenario) []chain.Profile {
	if s.profile != "" {
		return []chain.Profile{s.profile}
	}
	return []chain.Profile{chain.Ed25519, chain.GPG}
}

// play makes the chain of a scenario and verifies it in a new directory.
func play(t testing.TB, s scenario, p chain.Profile, compat bool) (*report.Report, chain.Request) {
	t.Helper()
	w := chaintest.New(t, p)
	step := func(change func(*world)) {
		if change != nil {
			change(w)
		}
	}
	step(s.made)
	w.Publish()
	step(s.published)
	w.Sign()
	step(s.signed)
	w.Policy.Compat = compat
	request := w.Request(t.TempDir())
	if s.request != nil {
		s.request(&request)
	}
	r := chain.Verify(t.Context(), request)
	if last := strings.Count(r.String(), "\n"); last < len(r.Links) {
		t.Errorf("the tree has %d lines for %d links", last, len(r.Links))
	}
	return r, request
}

// failures returns what failed, as a scenario has it.
func failures(r *report.Report) []string {
	var failed []string
	for _, l := range r.Links {
		for _, rule := range l.Rules {
			if rule.Verdict == report.Failed {
				failed = append(failed, rule.ID+" "+strings.TrimRight(l.TaskID, "-"))
			}
		}
	}
	slices.Sort(failed)
	return failed
}

func check(t *testing.T, s scenario, r *report.Report) {
	t.Helper()
	want := report.Verified
	if len(s.fails) > 0 {
		want = report.Refused
	}
	fails := slices.Sorted(slices.Values(s.fails)) // the scenario is played in several profiles at once
	if diff := cmp.Diff(fails, failures(r)); diff != "" || r.Verdict != want {
		t.Errorf("the verdict is %s, the failures differ (-want +got):\n%s\n%s", r.Verdict, diff, r)
	}
}

func run(t *testing.T, scenarios []scenario) {
	for _, s := range scenarios {
		for _, p := range profiles(s) {
			t.Run(s.name+" "+string(p), func(t *testing.T) {
				t.Parallel()
				r, _ := play(t, s, p, false)
				check(t, s, r)
			})
		}
	}
}

// set returns a change of one task's definition.
func set(id string, value any, path ...string) func(*world) {
	return func(w *world) { w.Tasks[id].Set(value, path...) }
}

func all(changes ...func(*world)) func(*world) {
	return func(w *world) {
		for _, change := range changes {
			change(w)
		}
	}
}

// everywhere changes a member of all tasks.
func everywhere(value any, path ...string) func(*world) {
	return func(w *world) {
		for _, task := range w.Tasks {
			task.Set(value, path...)
		}
	}
}

func unrestricted(w *world) { w.Tasks[chaintest.Signing].Set([]any{}, "scopes") }

func upstream(entries ...any) func(*world) {
	return set(chaintest.Signing, entries, "payload", "upstreamArtifacts")
}

// want is an entry of upstreamArtifacts.
func want(id, typ string, optional bool, paths ...any) object {
	o := object{"taskId": id, "taskType": typ, "paths": paths, "formats": []any{}}
	if optional {
		o["optional"] = true
	}
	return o
}

const (
	other     = "OtherTask-------------"
	action    = "ActionTask------------"
	foreign   = "ForeignDecision-------"
	elsewhere = "https://hg.example.org/trees/other/file/4567cdef/x"
)

// withAction lets an action make the signing task.
func withAction(w *world) {
	a := w.AddDecision(action)
	a.Set(chaintest.Decision, "taskGroupId")
	a.Definition["extra"] = object{"tasks_for": "action", "parent": chaintest.Decision, "action": object{"name": "release"}}
	a.Set("release", "payload", "env", "ACTION_CALLBACK")
	a.Set(chaintest.Decision, "payload", "env", "ACTION_TASK_GROUP_ID")
	w.Tasks[chaintest.Signing].Set(action, "extra", "parent")
}

// onGenericWorker lets the build run on generic-worker.
func onGenericWorker(w *world) {
	b := w.Tasks[chaintest.Build]
	b.Set(object{"mounts": []any{}, "features": object{"chainOfTrust": true}, "env": object{}}, "payload")
	b.Signer = trust.GenericWorker
	delete(b.Definition["extra"].(object), "chainOfTrust")
}

// secondDecision is a decision task of another push, with its own image task.
func secondDecision(w *world) {
	d := w.AddDecision(foreign)
	d.Set(elsewhere, "metadata", "source")
	d.Set("https://hg.example.org/trees/other", "payload", "env", "TREE_HEAD_REPOSITORY")
	i := w.Tasks[chaintest.Image]
	i.Set(foreign, "taskGroupId")
	i.Set(elsewhere, "metadata", "source")
	i.Set([]any{foreign}, "dependencies")
	if w.Profile == chain.Ed25519 {
		i.Set(foreign, "extra", "parent")
	}
}

// repackage puts a scriptworker task between the build and the signing task.
func repackage(w *world) {
	o := w.Add(other, "scriptworker-prov-v1/repack", trust.ScriptWorker, object{
		"upstreamArtifacts": []any{want(chaintest.Build, "build", false, chaintest.Artifact)},
	})
	o.Files["public/repacked.zip"] = []byte("repacked")
	upstream(want(other, "scriptworker", false, "public/repacked.zip"))(w)
}

func checkTask(r *chain.Request) { r.CheckTask = true }

func TestMustPass(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "push"},
		{name: "the task itself checked", request: checkTask},
		{name: "cron decision", made: all(
			set(chaintest.Decision, "cron", "extra", "tasks_for"), set(chaintest.Decision, "{}", "extra", "cron"))},
		{name: "try and action", profile: chain.Ed25519, made: all(
			withAction, unrestricted, everywhere("https://hg.example.org/try/file/0123abcd", "metadata", "source"),
			set(chaintest.Decision, "https://hg.example.org/try", "payload", "env", "TREE_HEAD_REPOSITORY"),
			set(action, "https://hg.example.org/try", "payload", "env", "TREE_HEAD_REPOSITORY"))},
		{name: "action", profile: chain.Ed25519, made: withAction},
		{name: "generic-worker build", made: onGenericWorker},
		{name: "worker implementation by tag", profile: chain.Ed25519, made: all(onGenericWorker, func(w *world) {
			w.Tasks[chaintest.Build].Delete("payload", "mounts")
			w.Tasks[chaintest.Build].Set("generic-worker", "tags", "worker-implementation")
		})},
		{name: "priority changed", profile: chain.Ed25519, published: set(chaintest.Build, "high", "priority")},
		{name: "deadline changed", published: set(chaintest.Build, "2030-01-01T00:00:00.000Z", "deadline")},
		{name: "fewer dependencies", published: set(chaintest.Signing, []any{}, "dependencies")},
		{name: "untrusted repository without restricted scopes", made: all(unrestricted, everywhere("https://example.org/x", "metadata", "source"),
			func(w *world) { w.Tasks[chaintest.Decision].Delete("payload", "env", "TREE_HEAD_REPOSITORY") })},
		{name: "optional artifact absent", profile: chain.Ed25519, made: upstream(
			want(chaintest.Build, "build", false, chaintest.Artifact), want(chaintest.Build, "build", true, "public/absent.zip", "public/none/*"))},
		{
			name: "optional artifact absent from the queue only", profile: chain.Ed25519,
			made:   upstream(want(chaintest.Build, "build", true, "public/build/target.txt")),
			signed: func(w *world) { delete(w.Tasks[chaintest.Build].Files, "public/build/target.txt") },
		},
		{name: "dependency cycle", made: all(repackage, upstream(
			want(chaintest.Build, "build", false, chaintest.Artifact), want(other, "scriptworker", false, "public/repacked.zip")),
			set(chaintest.Build, other, "extra", "chainOfTrust", "inputs", "scriptworker"))},
		{name: "reference to itself", made: set(chaintest.Build, chaintest.Build, "extra", "chainOfTrust", "inputs", "build")},
		{name: "image from another push", made: secondDecision},
		{name: "a pool that the graph has in one word", profile: chain.Ed25519, published: func(w *world) {
			planned := w.Graphs[chaintest.Decision][chaintest.Build].(object)["task"].(object)
			delete(planned, "provisionerId")
			delete(planned, "workerType")
			planned["taskQueueId"] = "built-pool/builders"
		}},
		{name: "retrigger", profile: chain.GPG, published: func(w *world) {
			copied := w.Add(other, "built-pool/builders", trust.DockerWorker, nil)
			build := w.Tasks[chaintest.Build]
			copied.Definition, copied.Files, copied.Environment = build.Definition, maps.Clone(build.Files), build.Environment
			entries := w.Graphs[chaintest.Decision]
			entry := entries[chaintest.Signing].(object)["task"].(object)
			changed := want(other, "build", false, chaintest.Artifact)
			changed["formats"] = []any{"gpg"}
			entry["payload"].(object)["upstreamArtifacts"] = []any{changed}
			upstream(changed)(w)
		}},
		{name: "dependencies on the decision task only", profile: chain.GPG, published: set(chaintest.Signing, []any{chaintest.Decision}, "dependencies")},
		{name: "upstream scriptworker", made: repackage},
		{name: "throw-away keys that are accepted", made: func(w *world) {
			w.Tasks[chaintest.Build].Environment["throwAwayKeys"] = true
			w.Tasks[chaintest.Image].Environment["interactive"] = false
			w.Policy.Accept = []string{"throwAwayKeys"}
		}},
		{name: "run after one that was lost", made: func(w *world) {
			b := w.Tasks[chaintest.Build]
			b.Runs = []chain.Run{{State: "exception", Started: b.Runs[0].Started, Resolved: b.Runs[0].Started}, b.Runs[0]}
		}},
	})
}

// signedBy lets a task be signed by a key of another's.
func signedBy(id, signer string) func(*world) {
	return func(w *world) { w.Tasks[id].Signer = signer }
}

func sworn(id string, change func(object)) func(*world) {
	return func(w *world) { w.Tasks[id].Certify = change }
}

func written(id, name, text string) func(*world) {
	return func(w *world) { w.Tasks[id].Files[name] = []byte(text) }
}

func artifacts(o object) object { return o["artifacts"].(object) }

// stray is a chain of scriptworker tasks, each upstream of the one before.
func stray(links int) func(*world) {
	return func(w *world) {
		next := want(chaintest.Build, "build", false, chaintest.Artifact)
		for i := range links {
			id := strings.Repeat(string(rune('a'+i)), 22)
			task := w.Add(id, "scriptworker-prov-v1/repack", trust.ScriptWorker, object{"upstreamArtifacts": []any{next}})
			task.Files["public/x"] = []byte("x")
			next = want(id, "scriptworker", false, "public/x")
		}
		upstream(next)(w)
	}
}

// finding is a Templates that always finds the same.
type finding []chain.Difference

func (f finding) Check(context.Context, chain.ParentTask) ([]chain.Difference, error) { return f, nil }

func templates(f finding) func(*chain.Request) {
	return func(r *chain.Request) { r.Templates = f }
}

func TestMustFail(t *testing.T) {
	t.Parallel()
	certificateFile := func(w *world, id string) string {
		if w.Profile == chain.GPG {
			return chaintest.ClearSigned
		}
		return chaintest.Certificate
	}
	run(t, []scenario{
		{name: "key of another implementation", made: signedBy(chaintest.Build, trust.GenericWorker), fails: []string{"certificate-signature BuildTask"}},
		{name: "unknown key", made: signedBy(chaintest.Build, "stranger"), fails: []string{"certificate-signature BuildTask"}},
		{name: "docker key for scriptworker", made: all(repackage, signedBy(other, trust.DockerWorker)), fails: []string{"certificate-signature OtherTask"}},
		{name: "host key on a docker task", made: signedBy(chaintest.Build, trust.ScriptWorker), fails: []string{"certificate-signature BuildTask"}},
		{name: "host key that nobody certified", profile: chain.GPG, made: all(repackage, func(w *world) {
			w.Tasks[other].Signer = "stranger"
			keys := w.Policy.Keys[trust.ScriptWorker]
			keys.OpenPGP = keys.OpenPGP.Merge(gpg.NewKeyring(w.Signers["stranger"].OpenPGP))
			w.Policy.Keys[trust.ScriptWorker] = keys
		}), fails: []string{"certificate-signature OtherTask"}},
		{name: "body changed after signing", signed: func(w *world) {
			files, name := w.Tasks[chaintest.Build].Files, certificateFile(w, chaintest.Build)
			files[name] = bytes.Replace(files[name], []byte(`"LEVEL": "3"`), []byte(`"LEVEL": "1"`), 1)
		}, fails: []string{"certificate-signature BuildTask"}},
		{name: "certificate of another task", signed: func(w *world) {
			for name, data := range w.Tasks[chaintest.Image].Files {
				if strings.HasPrefix(name, "public/chain") {
					w.Tasks[chaintest.Build].Files[name] = data
				}
			}
		}, fails: []string{"certificate-task-id BuildTask", "certificate-definition BuildTask"}},
		{name: "artifact changed", signed: written(chaintest.Build, chaintest.Artifact, "another program"), fails: []string{"artifact-hash BuildTask"}},
		{
			name: "artifact not in the certificate", made: upstream(want(chaintest.Build, "build", false, "public/later.zip")),
			signed: written(chaintest.Build, "public/later.zip", "later"), fails: []string{"artifact-listed BuildTask"},
		},
		{
			name: "artifact not in the queue", signed: func(w *world) { delete(w.Tasks[chaintest.Build].Files, chaintest.Artifact) },
			fails: []string{"artifact-present BuildTask"},
		},
		{name: "hash algorithm that is not allowed", made: sworn(chaintest.Build, func(o object) {
			artifacts(o)[chaintest.Artifact].(object)["sha384"] = strings.Repeat("0", 96)
		}), fails: []string{"artifact-hash BuildTask"}},
		{name: "hash algorithm that is not known", made: sworn(chaintest.Build, func(o object) {
			artifacts(o)[chaintest.Artifact].(object)["crc"] = "00"
		}), fails: []string{"certificate-signature BuildTask"}},
		{name: "no certificate", made: signedBy(chaintest.Build, ""), fails: []string{"certificate-present BuildTask"}},
		{name: "no certificate of the decision task", made: signedBy(chaintest.Decision, ""), fails: []string{"certificate-present DecisionTask"}},
		{
			name: "no signature", profile: chain.Ed25519, signed: func(w *world) { delete(w.Tasks[chaintest.Build].Files, chaintest.Signature) },
			fails: []string{"certificate-present BuildTask"},
		},
		{name: "optional artifacts of a task without a certificate", profile: chain.Ed25519, made: all(repackage,
			upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(other, "scriptworker", true, "public/repacked.zip")),
			func(w *world) { w.Tasks[other].Signer = "" }), fails: []string{"certificate-present OtherTask"}},
		{
			name: "optional artifacts only, but an image without a certificate", profile: chain.Ed25519, made: all(
				signedBy(chaintest.Image, ""), upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(chaintest.Image, "docker-image", true, "public/x"))),
			fails: []string{"certificate-present DockerImageTask"},
		},
		{name: "task not in the graph", published: func(w *world) { delete(w.Graphs[chaintest.Decision], chaintest.Build) }, fails: []string{"task-graph BuildTask"}},
		{name: "the task itself not in the graph", published: func(w *world) { delete(w.Graphs[chaintest.Decision], chaintest.Signing) }, fails: []string{"task-graph SigningTask"}},
		{name: "payload differs", published: set(chaintest.Build, "1", "payload", "env", "LEVEL"), fails: []string{"task-graph BuildTask"}},
		{name: "payload has more", published: set(chaintest.Build, "1", "payload", "env", "MORE"), fails: []string{"task-graph BuildTask"}},
		{
			name: "relative date differs", profile: chain.Ed25519,
			published: set(chaintest.Build, "2030-01-01T00:00:00.000Z", "payload", "artifacts", "public/build", "expires"), fails: []string{"task-graph BuildTask"},
		},
		{name: "foreign dependency", published: set(chaintest.Signing, []any{chaintest.Build, other}, "dependencies"), fails: []string{"task-graph SigningTask"}},
		{name: "key of the graph missing", published: func(w *world) { w.Tasks[chaintest.Build].Delete("tags") }, fails: []string{"task-graph BuildTask"}},
		{
			name: "graph missing", signed: func(w *world) { delete(w.Tasks[chaintest.Decision].Files, "public/task-graph.json") },
			fails: []string{"artifact-present DecisionTask"},
		},
		{name: "graph unreadable", signed: func(w *world) {
			written(chaintest.Decision, "public/task-graph.json", "{")(w)
			w.SignTask(w.Tasks[chaintest.Decision])
		}, fails: []string{"parent-graph DecisionTask"}},
		{name: "decision command changed", published: set(chaintest.Decision, []any{"/run-task", "evil"}, "payload", "command"), fails: []string{"parent-definition DecisionTask"}},
		{name: "decision scope changed", published: set(chaintest.Decision, []any{"assume:repo:hg.example.org/*"}, "scopes"), fails: []string{"parent-definition DecisionTask"}},
		{name: "bad comment", request: templates(finding{{Path: "/payload/env/COMMENT", Reason: "it is not the comment of the push"}}), fails: []string{"parent-definition DecisionTask"}},
		{name: "unknown project", request: templates(finding{{Reason: "the project is not known"}}), fails: []string{"parent-definition DecisionTask"}},
		{
			name: "action input changed", profile: chain.Ed25519, made: withAction, published: set(action, "evil", "payload", "env", "ACTION_INPUT"),
			fails: []string{"parent-definition ActionTask"},
		},
		{name: "wrong decision pool", made: func(w *world) { w.Policy.ParentPools = []string{"built-pool/other", "other"} }, fails: []string{"parent-pool DecisionTask"}},
		{name: "wrong image pool", made: func(w *world) { w.Policy.ImagePools = []string{"built-pool/other", "other"} }, fails: []string{"image-pool DockerImageTask"}},
		{name: "scope on the wrong tree", made: func(w *world) {
			w.Policy.RestrictedTrees = map[string][]string{"release-trees": {"/trees/release"}}
		}, fails: []string{"restricted-scopes SigningTask"}},
		{name: "scope with a star on the wrong tree", profile: chain.Ed25519, made: func(w *world) {
			w.Policy.RestrictedScopes = map[string]string{"project:signing:*": "others"}
		}, fails: []string{"restricted-scopes SigningTask"}},
		{name: "scope that the policy has twice", profile: chain.Ed25519, made: func(w *world) {
			w.Policy.RestrictedScopes["project:signing:*"] = "release-trees"
		}, fails: []string{"restricted-scopes SigningTask"}},
		{
			name: "unknown repository with restricted scope", made: all(everywhere("https://example.org/x", "metadata", "source"),
				func(w *world) { w.Tasks[chaintest.Decision].Delete("payload", "env", "TREE_HEAD_REPOSITORY") }),
			fails: []string{"restricted-scopes SigningTask", "restricted-repository BuildTask", "restricted-repository DecisionTask", "restricted-repository DockerImageTask"},
		},
		{name: "sibling from another repository", made: set(chaintest.Build, elsewhere, "metadata", "source"), fails: []string{"same-tree BuildTask"}},
		{
			name: "source and environment differ", profile: chain.Ed25519, made: set(chaintest.Decision, "https://hg.example.org/trees/main2", "payload", "env", "TREE_HEAD_REPOSITORY"),
			fails: []string{"repository-source DecisionTask"},
		},
		{
			name: "environment of another repository", profile: chain.GPG, made: set(chaintest.Decision, "https://hg.example.org/trees/other", "payload", "env", "TREE_HEAD_REPOSITORY"),
			fails: []string{"same-tree DecisionTask"},
		},
		{name: "try scheduler with restricted scope", made: set(chaintest.Build, "level-1", "schedulerId"), fails: []string{"restricted-origin BuildTask"}},
		{name: "try branch with restricted scope", made: set(chaintest.Build, "try", "payload", "env", "MH_BRANCH"), fails: []string{"restricted-origin BuildTask"}},
		{name: "image of a try push with restricted scope", made: all(secondDecision, func(w *world) {
			for _, id := range []string{foreign, chaintest.Image} {
				w.Tasks[id].Set("https://hg.example.org/try/file/1", "metadata", "source")
			}
			w.Tasks[foreign].Set("https://hg.example.org/try", "payload", "env", "TREE_HEAD_REPOSITORY")
		}), fails: []string{"restricted-origin DockerImageTask", "restricted-origin ForeignDecision"}},
		{name: "pull request with restricted scope", made: set(chaintest.Decision, "github-pull-request", "extra", "tasks_for"), fails: []string{"restricted-origin DecisionTask"}},
		{
			name: "repository of a stranger with restricted scope", made: func(w *world) { w.Policy.VCSRules[0].Owners = []string{"official"} },
			fails: []string{"restricted-origin SigningTask", "restricted-origin BuildTask", "restricted-origin DecisionTask", "restricted-origin DockerImageTask"},
		},
		{name: "revision of a fork with restricted scope", made: func(w *world) { w.Policy.VCSRules[0].Landed = true }, request: func(r *chain.Request) {
			r.Landed = func(_ context.Context, repository, revision string) (bool, error) {
				return repository != chaintest.Repository || revision != "0123abcd", nil
			}
		}, fails: []string{"restricted-origin DecisionTask"}},
		{name: "interactive", made: set(chaintest.Build, true, "payload", "features", "interactive"), fails: []string{"interactive BuildTask"}},
		{name: "interactive by environment", made: set(chaintest.Build, "1", "payload", "env", "TASKCLUSTER_INTERACTIVE"), fails: []string{"interactive BuildTask"}},
		{name: "interactive generic-worker", made: all(onGenericWorker, set(chaintest.Build, true, "payload", "features", "interactive")), fails: []string{"interactive-generic BuildTask"}},
		{name: "remote desktop", made: all(onGenericWorker, set(chaintest.Build, "login", "payload", "rdpInfo")), fails: []string{"remote-desktop BuildTask"}},
		{name: "remote desktop by scope", made: all(onGenericWorker, set(chaintest.Build, []any{"generic-worker:allow-rdp:a/b"}, "scopes")), fails: []string{"remote-desktop BuildTask"}},
		{name: "no features", made: func(w *world) { w.Tasks[chaintest.Build].Delete("payload", "features") }, fails: []string{"docker-features BuildTask"}},
		{name: "no environment", made: func(w *world) { w.Tasks[chaintest.Build].Delete("payload", "env") }, fails: []string{"docker-features BuildTask"}},
		{name: "image hash wrong", made: func(w *world) {
			w.Tasks[chaintest.Build].Environment["imageArtifactHash"] = "sha256:" + strings.Repeat("0", 64)
		}, fails: []string{"image-hash BuildTask"}},
		{name: "image hash missing", made: func(w *world) { delete(w.Tasks[chaintest.Build].Environment, "imageArtifactHash") }, fails: []string{"image-hash BuildTask"}},
		{name: "image of another task", made: set(chaintest.Build, other, "payload", "image", "taskId"), fails: []string{"image-task BuildTask"}},
		{name: "image of a task that is in the chain for something else", made: func(w *world) {
			o := w.Add(other, "built-pool/images", trust.DockerWorker, object{"image": "x", "features": object{}, "env": object{}})
			o.Environment["imageHash"] = "sha256:builder"
			o.Files[chaintest.ImagePath] = []byte("layers")
			w.Tasks[chaintest.Build].Set(other, "payload", "image", "taskId")
			upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(other, "docker-image", false, chaintest.ImagePath))(w)
		}, fails: []string{"image-task BuildTask"}},
		{name: "input that is no docker-image task", profile: chain.Ed25519, made: func(w *world) {
			w.Tasks[chaintest.Build].Set(chaintest.Decision, "payload", "image", "taskId")
			w.Tasks[chaintest.Build].Set(chaintest.Decision, "extra", "chainOfTrust", "inputs", "docker-image")
		}, fails: []string{"image-hash BuildTask", "image-pool DecisionTask"}},
		{name: "prebuilt image", profile: chain.Ed25519, made: set(chaintest.Build, "debian", "payload", "image"), fails: []string{"image-prebuilt BuildTask"}},
		{name: "image not on the list", profile: chain.GPG, made: func(w *world) {
			w.Tasks[chaintest.Decision].Environment["imageHash"] = "sha256:other"
		}, fails: []string{"image-allowlist DecisionTask"}},
		{name: "image by name for a build", profile: chain.GPG, made: all(set(chaintest.Build, "debian", "payload", "image"), func(w *world) {
			w.Tasks[chaintest.Build].Environment["imageHash"] = "sha256:decision"
		}), fails: []string{"image-allowlist BuildTask"}},
		{
			name: "indexed image", profile: chain.Ed25519, made: set(chaintest.Build, object{"type": "indexed-image", "namespace": "n", "path": "p"}, "payload", "image"),
			fails: []string{"image-indexed BuildTask", "image-prebuilt BuildTask"},
		},
		{
			name: "indexed image without restricted scopes", profile: chain.Ed25519,
			made:  all(unrestricted, set(chaintest.Build, object{"type": "indexed-image", "namespace": "n", "path": "p"}, "payload", "image")),
			fails: []string{"image-prebuilt BuildTask"},
		},
		{name: "image of no known kind", profile: chain.Ed25519, made: set(chaintest.Build, object{"type": "url"}, "payload", "image"), fails: []string{"image-kind BuildTask"}},
		{name: "illegal image command", profile: chain.GPG, made: set(chaintest.Image, []any{"/bin/bash", "-c", "evil"}, "payload", "command"), fails: []string{"image-command DockerImageTask"}},
		{name: "scriptworker type on another worker", made: upstream(want(chaintest.Build, "signing", false, chaintest.Artifact)), fails: []string{"worker-type BuildTask"}},
		{name: "ambiguous implementation", made: set(chaintest.Build, []any{}, "payload", "mounts"), fails: []string{"worker-implementation BuildTask"}},
		{name: "no implementation", made: func(w *world) {
			b := w.Tasks[chaintest.Build]
			b.Set(object{"features": object{}, "env": object{}}, "payload")
		}, fails: []string{"worker-implementation BuildTask"}},
		{name: "implementation by tag without keys", profile: chain.Ed25519, made: all(onGenericWorker, func(w *world) {
			w.Tasks[chaintest.Build].Delete("payload", "mounts")
			w.Tasks[chaintest.Build].Set("my-worker", "tags", "worker-implementation")
		}), fails: []string{"certificate-signature BuildTask"}},
		{name: "unknown type", made: upstream(want(chaintest.Build, "mystery", false, chaintest.Artifact)), fails: []string{"task-type BuildTask"}},
		{name: "unknown type of the task", request: func(r *chain.Request) { r.TaskType = "mystery" }, fails: []string{"task-type SigningTask"}},
		{name: "path traversal", made: upstream(want(chaintest.Build, "build", false, "public/../../x")), fails: []string{"upstream-paths SigningTask"}},
		{name: "absolute path", made: upstream(want(chaintest.Build, "build", false, "/etc/passwd")), fails: []string{"upstream-paths SigningTask"}},
		{
			name: "paths that are one file to some", made: upstream(want(chaintest.Build, "build", false, chaintest.Artifact, "public/build/Target.zip")),
			fails: []string{"upstream-paths SigningTask", "artifact-listed BuildTask"},
		},
		{name: "tasks whose ids differ only in case", made: func(w *world) {
			twin := strings.ToUpper(chaintest.Build)
			w.Add(twin, "built-pool/builders", trust.GenericWorker, object{"mounts": []any{}}).Files[chaintest.Artifact] = []byte("another program")
			upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(twin, "build", false, chaintest.Artifact))(w)
		}, fails: []string{"upstream-paths SigningTask"}},
		{name: "glob that is not optional", profile: chain.Ed25519, made: upstream(want(chaintest.Build, "build", false, "public/build/*")), fails: []string{"upstream-paths SigningTask"}},
		{name: "chain too deep", profile: chain.GPG, made: stray(4), fails: []string{"chain-limits BuildTask", "image-task BuildTask"}},
		{name: "chain too long", profile: chain.Ed25519, made: stray(19), fails: []string{"chain-limits BuildTask", "image-task BuildTask"}},
		{name: "too many links", profile: chain.Ed25519, made: all(stray(3), func(w *world) { w.Policy.Limits.Links = 5 }), fails: []string{"chain-limits BuildTask", "image-task BuildTask"}},
		{name: "no extra", made: func(w *world) { w.Tasks[chaintest.Image].Delete("extra") }, fails: []string{"task-extra DockerImageTask"}},
		{name: "no extra of the task", made: func(w *world) { w.Tasks[chaintest.Signing].Delete("extra") }, fails: []string{"task-extra SigningTask"}},
		{
			name: "inputs that are no task ids", made: set(chaintest.Build, object{"docker-image": 5}, "extra", "chainOfTrust", "inputs"),
			fails: []string{"task-inputs BuildTask", "image-task BuildTask"},
		},
		{name: "creator that is no text", profile: chain.Ed25519, made: set(chaintest.Build, []any{"x"}, "extra", "parent"), fails: []string{"task-inputs BuildTask"}},
		{name: "event that is no text", made: set(chaintest.Build, []any{"github-pull-request"}, "extra", "tasks_for"), fails: []string{"task-inputs BuildTask"}},
		{name: "repository that is no text", made: set(chaintest.Build, []any{"https://evil.example.org/x"}, "payload", "env", "TREE_HEAD_REPOSITORY"), fails: []string{"task-inputs BuildTask"}},
		{name: "callback that is no text", made: set(chaintest.Build, true, "payload", "env", "ACTION_CALLBACK"), fails: []string{"task-inputs BuildTask"}},
		{name: "implementation that is no text", made: set(chaintest.Build, true, "tags", "worker-implementation"), fails: []string{"task-inputs BuildTask"}},
		{name: "upstream task that does not exist", made: upstream(want(other, "build", false, "public/x")), fails: []string{"task-definition OtherTask"}},
		{
			name: "no decision task", made: all(set(chaintest.Signing, chaintest.Signing, "taskGroupId"), set(chaintest.Signing, chaintest.Signing, "extra", "parent")),
			fails: []string{"task-graph SigningTask", "task-graph-members SigningTask"},
		},
		{name: "creator that is no decision task", profile: chain.Ed25519, made: set(chaintest.Signing, other, "extra", "parent"), published: func(w *world) {
			o := w.Add(other, "built-pool/builders", trust.GenericWorker, object{"mounts": []any{}})
			o.Files["public/task-graph.json"] = []byte(`{}`)
		}, fails: []string{"parent-pool OtherTask", "parent-definition OtherTask", "task-graph SigningTask"}},
		{name: "decision task called a build", profile: chain.Ed25519, made: all(
			upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(foreign, "build", false, "public/actions.json")), secondDecision,
		), published: set(foreign, []any{"evil"}, "payload", "command"), fails: []string{"image-prebuilt ForeignDecision", "parent-definition ForeignDecision"}},
		{name: "throw-away keys", made: func(w *world) { w.Tasks[chaintest.Build].Environment["throwAwayKeys"] = true }, fails: []string{"certificate-environment BuildTask"}},
		{name: "interactive, says the worker", made: func(w *world) { w.Tasks[chaintest.Build].Environment["interactive"] = "perhaps" }, fails: []string{"certificate-environment BuildTask"}},
		{name: "no group", made: func(w *world) {
			w.Tasks[chaintest.Signing].Delete("taskGroupId")
			w.Tasks[chaintest.Signing].Signer = "" // no worker could
			w.Tasks[chaintest.Signing].Delete("extra", "parent")
		}, fails: []string{"task-definition "}},
		{name: "run that was lost", made: func(w *world) { w.Tasks[chaintest.Build].Runs[0].State = "exception" }, fails: []string{"run-resolved BuildTask"}},
		{name: "the task itself changed", profile: chain.Ed25519, request: checkTask, signed: set(chaintest.Signing, "high", "priority"), fails: []string{"certificate-definition SigningTask"}},
	})
}
