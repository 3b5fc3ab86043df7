//go:build darwin || freebsd

package process

import "github.com/taskcluster/generic-worker/process/usage"

// arm does nothing: the system keeps no limits.
func (t *tree) arm(*usage.Guard) {}

// Enforce tells how limits are kept here.
func Enforce(usage.Limits) usage.Enforcement {
	return usage.Enforcement{Memory: usage.Watched, Processes: usage.Watched}
}

// sample is what the tree uses now.
func (t *tree) sample() usage.Sample {
	t.looking.Lock()
	ours := t.find(t.table.Read())
	t.looking.Unlock()
	return usage.Of(ours)
}

// total is what is known beside the result.
func (t *tree) total() usage.Sample { return usage.Sample{} }
