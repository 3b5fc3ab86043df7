package trust

import (
	"maps"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// Restriction is a scope of a task that is for some trees only.
type Restriction struct{ Scope, Level string }

// Restrictions returns the restricted scopes of a task.
func (p *Policy) Restrictions(task definition.Object) []Restriction {
	var found []Restriction
	for _, scope := range task.Scopes() {
		for _, pattern := range slices.Sorted(maps.Keys(p.RestrictedScopes)) {
			prefix, star := strings.CutSuffix(pattern, "*")
			if pattern == scope || star && p.Profile == Ed25519 && strings.HasPrefix(scope, prefix) {
				found = append(found, Restriction{scope, p.RestrictedScopes[pattern]})
			}
		}
	}
	return found
}

// Allowed refuses restricted scopes outside their trees.
func (p *Policy) Allowed(restrictions []Restriction, repository Repository) error {
	levels := map[string]string{}
	for _, r := range restrictions {
		if level, twice := levels[r.Scope]; twice {
			return report.Refuse("scope %s is restricted to %s as well as to %s; correct the policy", r.Scope, level, r.Level)
		}
		levels[r.Scope] = r.Level
		if repository.Path == "" {
			return report.Refuse("scope %s is restricted to %s, and the policy does not know the repository of the task's /metadata/source", r.Scope, r.Level)
		}
		if !slices.Contains(p.RestrictedTrees[r.Level], repository.Path) {
			return report.Refuse("scope %s is restricted to %s, and repository %s is not one of its trees", r.Scope, r.Level, repository.Path)
		}
	}
	return nil
}

// Covered refuses a scope with a * that stands for restricted ones.
func (p *Policy) Covered(task definition.Object) error {
	for _, scope := range task.Scopes() {
		prefix, star := strings.CutSuffix(scope, "*")
		for _, pattern := range slices.Sorted(maps.Keys(p.RestrictedScopes)) {
			if star && pattern != scope && strings.HasPrefix(strings.TrimSuffix(pattern, "*"), prefix) {
				return report.Refuse("scope %s covers the restricted scope %s", scope, pattern)
			}
		}
	}
	return nil
}
