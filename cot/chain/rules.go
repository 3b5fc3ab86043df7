package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/step"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
)

// The rules that code refers to.
const (
	ruleDefinition = "task-definition"
	// ruleVerifier is answered only when the verifier itself is at fault.
	ruleVerifier = "verifier"
)

// rule is a question about a link. Its id never changes.
type rule struct {
	id      string
	applies func(*verification, *link) bool // nil: to every link whose definition is known
	strict  func(*verification, *link) bool // whether the Python verifier does without; nil: it does not
	check   func(context.Context, *verification, *link) error
}

// ruleTable returns the rules in the order of the report.
func ruleTable() []rule {
	return slices.Concat(taskRules, certificateRules, artifactRules, parentRules, imageRules, traceRules)
}

var taskRules = []rule{
	{id: ruleDefinition, check: of(func(l *link) error { return l.fetched.Err() })},
	{id: "task-type", check: taskType},
	{id: "task-extra", check: of(func(l *link) error {
		if l.defined().Object("extra") == nil {
			return report.Refuse("the task has no /extra, so it does not say what it uses")
		}
		return nil
	})},
	{id: "task-inputs", check: taskInputs},
	{id: "chain-limits", check: of(func(l *link) error { return l.bounds })},
	{id: "worker-implementation", check: of(func(l *link) error { return l.implementation.Err() })},
	{id: "worker-type", applies: ofKind(KindScriptworker), check: of(func(l *link) error {
		if l.implementation.Value() != trust.ScriptWorker {
			return report.Refuse("a task of type %s must run on scriptworker, and this one is for %q", strings.Join(l.types, ", "), l.implementation.Value())
		}
		return nil
	})},
	{id: "docker-features", applies: on(trust.DockerWorker), strict: inGPG, check: alone(trust.DockerFeatures)},
	{id: "interactive", applies: on(trust.DockerWorker), strict: inGPG, check: alone(trust.Interactive)},
	{id: "interactive-generic", applies: on(trust.GenericWorker), strict: always, check: alone(trust.Interactive)},
	{id: "remote-desktop", applies: on(trust.GenericWorker), strict: inGPG, check: alone(trust.RemoteDesktop)},
}

var certificateRules = []rule{
	{id: "run-resolved", applies: withCertificate, strict: always, check: runResolved},
	{id: "certificate-present", applies: withCertificate, check: certificatePresent},
	{id: "certificate-signature", applies: withCertificate, check: of(func(l *link) error {
		_, err := l.certificate.Get()
		if _, absent := errors.AsType[missing](err); absent {
			return errors.New("there is no certificate")
		}
		return err
	})},
	{id: "certificate-signer", applies: withCertificate, strict: always, check: ofCertificate(func(_ *verification, _ *link, o trust.Opened) error { return o.ByWorker() })},
	{id: "certificate-time", applies: both(withCertificate, profileIs(GPG)), strict: always, check: ofCertificate(func(_ *verification, _ *link, o trust.Opened) error { return o.InTime() })},
	{id: "certificate-environment", applies: withCertificate, strict: always, check: ofCertificate(func(v *verification, _ *link, o trust.Opened) error {
		return v.policy.Environment(o)
	})},
	{id: "certificate-task-id", applies: withCertificate, strict: inGPG, check: ofCertificate(certificateTaskID)},
	{id: "certificate-run", applies: withCertificate, strict: always, check: ofCertificate(certificateRun)},
	{id: "certificate-definition", applies: withCertificate, strict: always, check: ofCertificate(certificateTask)},
}

var artifactRules = []rule{
	{id: "upstream-paths", applies: isRoot, check: upstreamPaths},
	{id: "artifact-listed", applies: withFiles, check: filesWithout(problemUnlisted)},
	{id: "artifact-present", applies: withFiles, check: filesWithout(problemAbsent)},
	{id: "artifact-hash", applies: withFiles, check: filesWithout(problemHash)},
	{id: "artifact-hash-optional", applies: withFiles, strict: always, check: of(func(l *link) error { return l.fileProblem(problemHash, true) })},
}

var parentRules = []rule{
	{id: "parent-pool", applies: ofKind(KindParent), check: func(_ context.Context, v *verification, l *link) error {
		return v.policy.Pool(l.defined(), v.policy.ParentPools, "decision and action")
	}},
	{id: "parent-graph", applies: both(ofKind(KindParent), notRoot), check: of(func(l *link) error { return l.graph.Err() })},
	{id: "parent-definition", applies: ofKind(KindParent), check: parentTask},
	{id: "parent-definition-strict", applies: both(ofKind(KindParent), inCompat), strict: always, check: func(ctx context.Context, v *verification, l *link) error {
		strict := *v.policy
		strict.Compat = false
		return v.rebuilt(ctx, l, &strict)
	}},
	{id: "action-group", applies: (*verification).isAction, strict: always, check: actionGroup},
	{id: "task-graph", applies: notKind(KindParent), check: matches(false)},
	{id: "task-graph-members", applies: notKind(KindParent), strict: always, check: matches(true)},
}

var imageRules = []rule{
	{id: "image-pool", applies: ofKind(KindDockerImage), check: func(_ context.Context, v *verification, l *link) error {
		return v.policy.Pool(l.defined(), v.policy.ImagePools, "docker-image")
	}},
	{id: "image-command", applies: both(ofKind(KindDockerImage), profileIs(GPG)), check: byPolicy((*trust.Policy).ImageCommand)},
	{id: "image-allowlist", applies: both(withImage(trust.ImageByName), profileIs(GPG)), check: imageAllowed},
	{id: "image-prebuilt", applies: both(withImage(trust.ImageByName, trust.ImageFromIndex), profileIs(Ed25519)), check: func(_ context.Context, v *verification, l *link) error {
		return v.policy.ImagePrebuilt(l.defined(), v.typesOf(l))
	}},
	{id: "image-indexed", applies: withImage(trust.ImageFromIndex), check: imageIndexed},
	{id: "image-task", applies: withImage(trust.ImageFromTask), check: imageTask},
	{id: "image-hash", applies: withImage(trust.ImageFromTask), check: imageHash},
	{id: "image-kind", applies: withImage(trust.ImageOther), check: of(func(l *link) error {
		return report.Refuse("its image is of the type %s, which is none that can be verified", definition.Brief(l.defined().Text("payload", "image", "type")))
	})},
}

var traceRules = []rule{
	{id: "repository-source", applies: profileIs(Ed25519), check: of(func(l *link) error { return l.repository.Err() })},
	{id: "repository-path", strict: always, check: of(func(l *link) error {
		if r := l.repository.Value(); r.Loose {
			return report.Refuse("/metadata/source %s goes on after repository %s as if that were not its name", definition.Brief(l.defined().Text("metadata", "source")), r.Path)
		}
		return nil
	})},
	{id: "same-tree", applies: notRoot, check: sameTree},
	{id: "restricted-scopes", applies: isRoot, check: func(_ context.Context, v *verification, l *link) error {
		restricted, err := v.restricted.Get()
		if err != nil {
			return err
		}
		return v.policy.Allowed(restricted, l.repository.Value())
	}},
	{id: "restricted-scopes-covered", applies: isRoot, strict: always, check: byPolicy((*trust.Policy).Covered)},
	{id: "restricted-repository", applies: notRoot, check: knownRepository},
	{id: "restricted-origin", check: origin},
}

type check = func(context.Context, *verification, *link) error

// of makes a rule of what is known of the link.
func of(judge func(*link) error) check {
	return func(_ context.Context, _ *verification, l *link) error { return judge(l) }
}

// alone makes a rule of what a definition says by itself.
func alone(judge func(definition.Object) error) check {
	return func(_ context.Context, _ *verification, l *link) error { return judge(l.defined()) }
}

// byPolicy makes a rule of what a definition says to a policy.
func byPolicy(judge func(*trust.Policy, definition.Object) error) check {
	return func(_ context.Context, v *verification, l *link) error { return judge(v.policy, l.defined()) }
}

type condition = func(*verification, *link) bool

func always(*verification, *link) bool       { return true }
func inCompat(v *verification, _ *link) bool { return v.policy.Compat }
func inGPG(v *verification, _ *link) bool    { return v.policy.Profile == GPG }
func isRoot(_ *verification, l *link) bool   { return l.root }
func notRoot(_ *verification, l *link) bool  { return !l.root }

func both(a, b condition) condition {
	return func(v *verification, l *link) bool { return a(v, l) && b(v, l) }
}

func profileIs(p Profile) condition {
	return func(v *verification, _ *link) bool { return v.policy.Profile == p }
}

func ofKind(kind Kind) condition {
	return func(v *verification, l *link) bool { return v.is(l, kind) }
}

func notKind(kind Kind) condition {
	return func(v *verification, l *link) bool { return !v.is(l, kind) }
}

func on(implementation string) condition {
	return func(_ *verification, l *link) bool { return l.implementation.Value() == implementation }
}

func withImage(kinds ...trust.Image) condition {
	return func(v *verification, l *link) bool {
		return l.implementation.Value() == trust.DockerWorker && withCertificate(v, l) && slices.Contains(kinds, v.policy.Image(l.defined()))
	}
}

func withFiles(_ *verification, l *link) bool { return len(l.files) > 0 }

func withCertificate(v *verification, l *link) bool { return v.checked(l) }

func taskType(_ context.Context, v *verification, l *link) error {
	for _, t := range l.types {
		if v.policy.TaskTypes[t] == "" {
			return report.Refuse("%q is no type of task that the policy knows", t)
		}
	}
	return nil
}

func taskInputs(_ context.Context, v *verification, l *link) error {
	for _, name := range []string{"scopes", "dependencies"} {
		if _, ok := l.defined().Texts(name); !ok {
			return report.Refuse("/%s is no list of texts", name)
		}
	}
	if _, err := l.defined().Inputs(); err != nil {
		return report.Refuse("%v", err)
	}
	if _, err := l.defined().Upstream(); err != nil {
		return report.Refuse("%v", err)
	}
	return v.policy.Readable(l.defined())
}

func runResolved(_ context.Context, _ *verification, l *link) error {
	if l.run < 0 {
		return report.Refuse("the task has no run")
	}
	run := l.task.Runs[l.run]
	if run.State != "completed" && run.State != "failed" {
		return report.Refuse("run %d is %s, and what it made cannot be relied on", l.run, run.State)
	}
	return nil
}

func certificatePresent(_ context.Context, _ *verification, l *link) error {
	_, err := l.certificate.Get()
	absent, is := errors.AsType[missing](err)
	switch {
	case is:
		return absent
	case report.VerdictOf(err) == report.Undecided:
		return err
	}
	return nil
}

// upstreamPaths checks that everything the task asks for was wanted; how it
// came out is for the rules of the links it is from.
func upstreamPaths(_ context.Context, v *verification, l *link) error {
	if err := l.paths.Err(); err != nil {
		return err
	}
	all, err := l.defined().Upstream()
	if err != nil {
		return errors.New("upstreamArtifacts cannot be read")
	}
	for _, u := range all {
		from := v.links[u.TaskID]
		for _, name := range u.Paths {
			if from != nil && from.files[name] == nil && !v.isGlob(name) {
				return fmt.Errorf("artifact %s of %s: %w", name, u.TaskID, step.ErrNotReached)
			}
		}
	}
	return nil
}

// filesWithout makes the rule that no file has a problem which counts; optional
// files may be absent.
func filesWithout(p problem) check {
	return of(func(l *link) error { return l.fileProblem(p, false) })
}

func (l *link) fileProblem(p problem, optional bool) error {
	var open error
	for _, a := range l.artifacts {
		f := l.files[a.Name]
		switch {
		case !f.done:
			open = fmt.Errorf("artifact %s: %w", a.Name, step.ErrNotReached)
		case f.err != nil && f.problem == problemOther:
			open = f.err
		case f.err != nil && f.problem == p && f.optional == optional:
			return f.err
		}
	}
	if len(l.artifacts) != len(l.files) {
		return step.ErrNotReached
	}
	return open
}
