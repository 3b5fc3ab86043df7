package chain

import (
	"context"
	"fmt"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// trace finds the repositories of all links, and the restricted scopes of the
// task itself.
func (v *verification) trace() {
	for _, l := range v.found {
		if err := l.fetched.Err(); err == nil {
			l.repository.Set(v.policy.Repository(l.defined()))
		}
	}
	if root := v.found[0]; root.fetched.Err() == nil {
		v.restricted.Set(v.policy.Restrictions(root.defined()), nil)
	}
}

// sameTree refuses a task of the same group that is from another repository.
func sameTree(_ context.Context, v *verification, l *link) error {
	root := v.found[0]
	if l.group() != root.group() {
		return nil
	}
	if own, others := l.repository.Value().Path, root.repository.Value().Path; own != others {
		return report.Refuse("it is from repository %q, and the task in the same group is from %q", own, others)
	}
	return nil
}

// knownRepository refuses, below a task with restricted scopes, links from
// repositories that the policy does not know.
func knownRepository(_ context.Context, v *verification, l *link) error {
	restricted, err := v.restricted.Get()
	if err != nil || len(restricted) == 0 {
		return err
	}
	if l.repository.Value().Path == "" {
		return report.Refuse("the policy does not know the repository of /metadata/source %s, and the task has the restricted scope %s", definition.Brief(l.defined().Text("metadata", "source")), restricted[0].Scope)
	}
	return nil
}

// origin refuses, in the chain of a task with restricted scopes, what comes
// from a try repository or a pull request.
func origin(ctx context.Context, v *verification, l *link) error {
	restricted, err := v.restricted.Get()
	if err != nil || len(restricted) == 0 {
		return err
	}
	reason, landed := v.policy.Suspect(l.defined())
	if reason == "" && landed {
		reason, err = v.landed(ctx, l)
	}
	if reason != "" {
		return report.Refuse("%s, and the task has the restricted scope %s", reason, restricted[0].Scope)
	}
	return err
}

func (v *verification) landed(ctx context.Context, l *link) (reason string, err error) {
	repository, revision := v.policy.Head(l.defined())
	if v.Landed == nil {
		return "", fmt.Errorf("nothing here can tell whether revision %s is on a branch of %s", definition.Brief(revision), definition.Brief(repository))
	}
	ok, err := v.Landed(ctx, repository, revision)
	if err != nil || ok {
		return "", err
	}
	return fmt.Sprintf("revision %s is on no branch of %s", definition.Brief(revision), definition.Brief(repository)), nil
}
