package chain

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/taskcluster/generic-worker/cot/chain/download"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/step"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
)

// Verify finds out whether a task and its ancestry are what the policy trusts.
// It always returns a report; the artifacts of a report that is not verified
// must not be used.
func Verify(ctx context.Context, request Request) *report.Report {
	v := &verification{Request: request, policy: &Policy{}, links: map[string]*link{}}
	if request.Policy != nil {
		v.policy = request.Policy.WithDefaults()
	}
	err := v.run(ctx)
	return v.report(err)
}

// run goes through the steps. Each leaves in the links what it found out; an
// error is about the whole.
func (v *verification) run(ctx context.Context) (err error) {
	defer step.Recover(&err)
	if v.policy.Profile != GPG && v.policy.Profile != Ed25519 {
		return fmt.Errorf("cannot verify with profile %q: it is neither gpg nor ed25519", v.policy.Profile)
	}
	dir, err := os.OpenRoot(v.Dir)
	if err != nil {
		return fmt.Errorf("cannot open the directory for artifacts: %w", err)
	}
	defer dir.Close()
	limits := v.policy.Limits
	v.store = &download.Store{Dir: dir, Algorithms: v.policy.Algorithms, FileSize: limits.ArtifactSize, TotalSize: limits.TotalSize}

	v.walk(ctx)                     // links: all tasks, level by level
	v.each(ctx, v.found, v.certify) // certificates: fetched, opened
	v.download(ctx)                 // artifacts: hashed while they come in
	v.compare(ctx)                  // task graphs: each read once
	v.trace()                       // repositories, restricted scopes
	v.each(ctx, v.found, v.judge)   // every rule of every link
	return context.Cause(ctx)
}

// verification is one call of Verify.
type verification struct {
	Request
	policy *Policy
	store  *download.Store

	links      map[string]*link // by task id
	found      []*link          // in the order of the report, the task itself first
	restricted step.Outcome[[]trust.Restriction]
}

// each calls do for links, some at a time. A panic leaves open what the call
// would have found out.
func (v *verification) each(ctx context.Context, links []*link, do func(context.Context, *link)) {
	step.Work[*link]{Limit: v.policy.Limits.Parallel, Do: do, Fault: (*link).fault}.Each(ctx, links)
}

// judge answers the rules of a link.
func (v *verification) judge(ctx context.Context, l *link) {
	var answers []report.Rule
	for _, r := range ruleTable() {
		if !v.applies(r, l) {
			continue
		}
		strict := r.strict != nil && r.strict(v, l)
		answers = append(answers, report.Answer(r.id, strict, v.policy.Compat, v.ask(ctx, r, l)))
	}
	l.answers = answers
}

func (v *verification) applies(r rule, l *link) bool {
	if err := l.fetched.Err(); err != nil {
		return r.id == ruleDefinition
	}
	return r.applies == nil || r.applies(v, l)
}

func (v *verification) ask(ctx context.Context, r rule, l *link) (err error) {
	defer step.Recover(&err)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.check(ctx, v, l)
}

// report collects what was found out.
func (v *verification) report(err error) *report.Report {
	r := &report.Report{TaskID: v.TaskID, TaskType: v.TaskType, Profile: string(v.policy.Profile), Compat: v.policy.Compat, Links: []report.Link{}}
	if err != nil {
		r.Reason = err.Error()
	}
	for _, l := range v.found {
		r.Links = append(r.Links, v.reportOf(l))
	}
	r.Verdict = r.Sum()
	return r
}

// reportOf returns what is known of the link. Without answers there is one
// rule, which nobody has answered.
func (v *verification) reportOf(l *link) report.Link {
	out := report.Link{
		TaskID: l.id, Name: l.name, Types: v.typesOf(l), From: l.from, RunID: l.run,
		Implementation: l.implementation.Value(), Pool: l.defined().Pool(), Repository: l.repository.Value().Path,
		SignedBy: l.certificate.Value().Signer, Rules: l.answers, Artifacts: l.artifacts,
	}
	if len(out.Rules) == 0 || l.failure != nil {
		err := l.failure
		if err == nil {
			err = step.ErrNotReached
		}
		out.Rules = append(slices.Clip(out.Rules), report.Answer(ruleVerifier, false, false, err))
	}
	out.Verdict = out.Sum()
	return out
}
