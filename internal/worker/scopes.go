package worker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
)

// expansionLimit bounds how long a task waits to learn what its roles are.
const expansionLimit = 2 * time.Minute

// permitted checks that the task has the scopes that a feature needs. What its
// roles stand for is only asked if it makes a difference.
func (r *run) permitted(ctx context.Context, feature string, hooks features.Hooks) error {
	if r.lacking(hooks) == "" {
		return nil
	}
	if err := r.expand(ctx); err != nil {
		return err
	}
	if lacking := r.lacking(hooks); lacking != "" {
		return task.Errorf(task.MalformedPayload, "%s needs the scope %s; add it to the task's scopes", r.Payload.Key(feature), lacking)
	}
	return nil
}

// lacking returns a scope that a feature needs and the task has not, or those
// of which one is needed; empty if there is none.
func (r *run) lacking(hooks features.Hooks) string {
	for _, scope := range hooks.Scopes {
		if !r.hasScope(scope) {
			return scope
		}
	}
	if one := hooks.AnyScope; len(one) > 0 && !slices.ContainsFunc(one, r.hasScope) {
		return strings.Join(one, " or ")
	}
	return ""
}

// expand finds out once what the task's roles stand for, if it has any.
func (r *run) expand(ctx context.Context) error {
	if r.expanded != nil || !slices.ContainsFunc(r.Definition.Scopes, assumes) {
		return nil
	}
	r.expanded = r.Definition.Scopes // it is asked once, whatever the answer
	ctx, cancel := context.WithTimeoutCause(ctx, expansionLimit,
		task.Errorf(task.ResourceUnavailable, "cannot find out what the task's roles stand for: no answer within %v", expansionLimit))
	defer cancel()
	scopes, err := r.worker.Queue.Expand(ctx, r.Definition.Scopes)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return task.Errorf(task.ResourceUnavailable, "cannot find out what the task's roles stand for: %w", err)
	}
	r.expanded = slices.Concat(r.Definition.Scopes, scopes)
	return nil
}

// assumes tells whether a scope stands for a role, or for several.
func assumes(scope string) bool {
	const role = "assume:"
	prefix, open := strings.CutSuffix(scope, "*")
	return strings.HasPrefix(scope, role) || open && strings.HasPrefix(role, prefix)
}

// hasScope tells whether the task has a scope. A scope of docker-worker and the
// same one of generic-worker stand for each other in a payload for docker-worker.
func (r *run) hasScope(scope string) bool {
	const docker, generic = "docker-worker:", "generic-worker:"
	given := r.Definition.Scopes
	if r.expanded != nil {
		given = r.expanded
	}
	if task.Satisfies(given, scope) || r.Payload.Image == nil {
		return task.Satisfies(given, scope)
	}
	if rest, ok := strings.CutPrefix(scope, docker); ok {
		return task.Satisfies(given, generic+rest)
	}
	rest, ok := strings.CutPrefix(scope, generic)
	return ok && task.Satisfies(given, docker+rest)
}
