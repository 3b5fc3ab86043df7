package chain_test

import (
	"context"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/chaintest"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
)

// twoRuns lets the build have a first run, whose certificate it keeps.
func twoRuns(w *world) {
	b := w.Tasks[chaintest.Build]
	b.Runs = append(b.Runs, b.Runs[0])
}

// TestCompat has what the Python verifier accepts and this one does not: in
// compat the chain is verified, and the rules that would fail are named.
func TestCompat(t *testing.T) {
	t.Parallel()
	for _, s := range []scenario{
		{
			name: "optional artifact with a wrong hash", profile: chain.Ed25519,
			made:   upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(chaintest.Build, "build", true, "public/build/target.txt")),
			signed: written(chaintest.Build, "public/build/target.txt", "another text"), fails: []string{"artifact-hash-optional BuildTask"},
		},
		{name: "definition that is not the one that ran", signed: set(chaintest.Build, "2030-01-01T00:00:00.000Z", "deadline"), fails: []string{"certificate-definition BuildTask"}},
		{name: "certificate of another run", made: all(twoRuns, sworn(chaintest.Build, func(o object) { o["runId"] = 0 })), fails: []string{"certificate-run BuildTask"}},
		{name: "certificate of another task", profile: chain.GPG, made: sworn(chaintest.Build, func(o object) { o["taskId"] = chaintest.Image }), fails: []string{"certificate-task-id BuildTask"}},
		{name: "interactive", profile: chain.GPG, made: set(chaintest.Build, true, "payload", "features", "interactive"), fails: []string{"interactive BuildTask"}},
		{name: "no features", profile: chain.GPG, made: func(w *world) { w.Tasks[chaintest.Build].Delete("payload", "features") }, fails: []string{"docker-features BuildTask"}},
		{name: "no environment", profile: chain.GPG, made: func(w *world) { w.Tasks[chaintest.Build].Delete("payload", "env") }, fails: []string{"docker-features BuildTask"}},
		{name: "remote desktop", profile: chain.GPG, made: all(onGenericWorker, set(chaintest.Build, "x", "payload", "rdpInfo")), fails: []string{"remote-desktop BuildTask"}},
		{name: "interactive generic-worker", made: all(onGenericWorker, set(chaintest.Build, true, "payload", "features", "interactive")), fails: []string{"interactive-generic BuildTask"}},
		{name: "member that is not in the graph", published: func(w *world) {
			delete(w.Graphs[chaintest.Decision][chaintest.Build].(object)["task"].(object), "routes")
			w.Tasks[chaintest.Build].Set([]any{"index.release"}, "routes")
		}, fails: []string{"task-graph-members BuildTask"}},
		{name: "retrigger with a member that is not in the graph", profile: chain.GPG, published: func(w *world) {
			delete(w.Graphs[chaintest.Decision][chaintest.Build].(object)["task"].(object), "tags")
			w.Tasks[chaintest.Build].Set("x", "tags", "y")
			graph := w.Graphs[chaintest.Decision]
			graph[other] = graph[chaintest.Build]
			delete(graph, chaintest.Build)
		}, fails: []string{"task-graph-members BuildTask"}},
		{name: "group of an action", profile: chain.Ed25519, made: all(withAction, set(action, other, "payload", "env", "ACTION_TASK_GROUP_ID")), fails: []string{"action-group ActionTask"}},
		{name: "repository with a longer name", made: all(everywhere("https://hg.example.org/trees/main_evil/file/1", "metadata", "source"), func(w *world) {
			w.Tasks[chaintest.Decision].Delete("payload", "env", "TREE_HEAD_REPOSITORY")
		}), fails: []string{"repository-path BuildTask", "repository-path DecisionTask", "repository-path DockerImageTask", "repository-path SigningTask"}},
		{name: "scope that covers the restricted one", made: set(chaintest.Signing, []any{"project:signing:*"}, "scopes"), fails: []string{"restricted-scopes-covered SigningTask"}},
		{name: "certificate by a key that certifies", profile: chain.GPG, made: all(repackage, signedBy(other, "trusted")), fails: []string{"certificate-signer OtherTask"}},
		{name: "key that tasks can read", made: func(w *world) { w.Tasks[chaintest.Build].Environment["keysReadableByTasks"] = true }, fails: []string{"certificate-environment BuildTask"}},
		{name: "run that was lost", made: func(w *world) { w.Tasks[chaintest.Build].Runs[0].State = "exception" }, fails: []string{"run-resolved BuildTask"}},
		{name: "certificate older than the run", profile: chain.GPG, made: func(w *world) {
			w.Tasks[chaintest.Build].Runs[0].Started = w.Resolved.Add(45 * 60e9)
			w.Tasks[chaintest.Build].Runs[0].Resolved = w.Resolved.Add(50 * 60e9)
		}, fails: []string{"certificate-time BuildTask"}},
	} {
		for _, p := range profiles(s) {
			t.Run(s.name+" "+string(p), func(t *testing.T) {
				t.Parallel()
				strict, _ := play(t, s, p, false)
				check(t, s, strict)
				lax, _ := play(t, s, p, true)
				checkSkipped(t, s, lax)
			})
		}
	}
}

// checkSkipped checks that a chain is verified only because some rules do not
// count.
func checkSkipped(t *testing.T, s scenario, r *report.Report) {
	t.Helper()
	would := map[string]bool{}
	for _, l := range r.Links {
		for _, rule := range l.Rules {
			if rule.Verdict == report.Skipped && rule.Would == report.Failed {
				would[rule.ID+" "+strings.TrimRight(l.TaskID, "-")] = true
			}
		}
	}
	ok := r.Verdict == report.Verified && len(would) == len(s.fails)
	for _, f := range s.fails {
		ok = ok && would[f]
	}
	if !ok {
		t.Errorf("in compat the verdict is %s, and %v would fail:\n%s", r.Verdict, would, r)
	}
}

// lenient is a Templates that finds something only where it must look closely.
type lenient struct{}

func (lenient) Check(_ context.Context, task chain.ParentTask) ([]chain.Difference, error) {
	if task.Policy.Compat {
		return nil, nil
	}
	return []chain.Difference{{Path: "/payload/env/X", Reason: "is more than the template has"}}, nil
}

// TestCompatNamesWhatTemplatesLetPass has a decision task that only a strict
// look refuses.
func TestCompatNamesWhatTemplatesLetPass(t *testing.T) {
	t.Parallel()
	s := scenario{
		name: "more than the template has", request: func(r *chain.Request) { r.Templates = lenient{} },
		fails: []string{"parent-definition DecisionTask"},
	}
	for _, p := range profiles(s) {
		strict, _ := play(t, s, p, false)
		check(t, s, strict)
		lax, _ := play(t, s, p, true)
		checkSkipped(t, scenario{fails: []string{"parent-definition-strict DecisionTask"}}, lax)
	}
}

// TestCompatKeepsTheRest refuses in compat what the Python verifier refuses.
func TestCompatKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, s := range []scenario{
		{name: "artifact changed", signed: written(chaintest.Build, chaintest.Artifact, "x"), fails: []string{"artifact-hash BuildTask"}},
		{name: "unknown key", made: signedBy(chaintest.Build, "stranger"), fails: []string{"certificate-signature BuildTask"}},
		{name: "certificate of another task", profile: chain.Ed25519, made: sworn(chaintest.Build, func(o object) { o["taskId"] = chaintest.Image }), fails: []string{"certificate-task-id BuildTask"}},
		{name: "interactive", profile: chain.Ed25519, made: set(chaintest.Build, true, "payload", "features", "interactive"), fails: []string{"interactive BuildTask"}},
		{name: "uncertified host", profile: chain.GPG, made: all(repackage, signedBy(other, trust.DockerWorker)), fails: []string{"certificate-signature OtherTask"}},
		{name: "path traversal", made: upstream(want(chaintest.Build, "build", false, "../x")), fails: []string{"upstream-paths SigningTask"}},
	} {
		for _, p := range profiles(s) {
			t.Run(s.name+" "+string(p), func(t *testing.T) {
				t.Parallel()
				r, _ := play(t, s, p, true)
				check(t, s, r)
			})
		}
	}
}
