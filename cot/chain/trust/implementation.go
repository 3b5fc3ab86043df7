package trust

import (
	"maps"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// The worker implementations that rules know something about.
const (
	DockerWorker  = "docker-worker"
	GenericWorker = "generic-worker"
	ScriptWorker  = "scriptworker"
)

// Implementation tells which worker implementation a task is for, by what only
// tasks of that one have.
func (p *Policy) Implementation(task definition.Object) (string, error) {
	hints := map[string]string{} // implementation -> what hints at it
	tag := task.Text("tags", "worker-implementation")
	for _, r := range p.ImplRules {
		if hint := r.hint(task); hint != "" {
			hints[r.Implementation] = hint
		}
		if r.Tag && tag != "" {
			hints[tag] = "its tag worker-implementation"
		}
	}
	names := slices.Sorted(maps.Keys(hints))
	switch len(names) {
	case 0:
		return "", report.Refuse("nothing in the task says which worker implementation it is for: no image, no mounts, and pool %s is not one the policy names", task.Pool())
	case 1:
		return names[0], nil
	}
	return "", report.Refuse("the task could be for %s (%s) as well as for %s (%s)", names[0], hints[names[0]], names[1], hints[names[1]])
}

// hint returns what in the task hints at the implementation.
func (r ImplRule) hint(task definition.Object) string {
	for _, name := range r.PayloadValues {
		if value, _ := task.Value("payload", name); definition.Truthy(value) {
			return "/payload/" + name
		}
	}
	for _, name := range r.PayloadMembers {
		if task.Has("payload", name) {
			return "/payload/" + name
		}
	}
	scopes := task.Scopes()
	if i := slices.IndexFunc(scopes, r.ownScope); i >= 0 {
		return "scope " + scopes[i]
	}
	provisioner, workerType, _ := strings.Cut(task.Pool(), "/")
	if slices.Contains(r.Provisioners, provisioner) || slices.Contains(r.WorkerTypes, workerType) {
		return "pool " + task.Pool()
	}
	return ""
}

func (r ImplRule) ownScope(scope string) bool {
	return slices.ContainsFunc(r.ScopePrefixes, func(prefix string) bool { return strings.HasPrefix(scope, prefix) })
}

// Pool refuses a task whose pool is not in the list; what names the tasks
// the list is for.
func (p *Policy) Pool(task definition.Object, pools []string, what string) error {
	pool := task.Pool()
	if p.Profile == GPG {
		pool = pool[strings.LastIndex(pool, "/")+1:]
	}
	if !slices.Contains(pools, pool) {
		return report.Refuse("pool %s is not one of those for %s tasks (%s)", pool, what, strings.Join(pools, ", "))
	}
	return nil
}

// Readable refuses a task in which something that decides how it is verified is
// no text: it would count as not there.
func (p *Policy) Readable(task definition.Object) error {
	for _, path := range [][]string{
		{"extra", "parent"},
		{"extra", "tasks_for"},
		{"tags", "worker-implementation"},
		{"metadata", "source"},
		{"schedulerId"},
		{"payload", "env", "ACTION_CALLBACK"},
		{"payload", "env", p.EnvPrefix + "_HEAD_REPOSITORY"},
		{"payload", "env", p.EnvPrefix + "_HEAD_REV"},
	} {
		value, _ := task.Value(path...)
		if _, text := value.(string); value != nil && !text {
			return report.Refuse("/%s is no text", strings.Join(path, "/"))
		}
	}
	return nil
}

// IsAction tells actions from decision tasks, among tasks that create others.
func (p *Policy) IsAction(task definition.Object) bool {
	return p.Profile == Ed25519 && (task.Text("payload", "env", "ACTION_CALLBACK") != "" || task.Has("extra", "action"))
}

// Creator is the task id of the decision or action task that made a task.
func (p *Policy) Creator(task definition.Object) string {
	if parent := task.Text("extra", "parent"); parent != "" && p.Profile == Ed25519 {
		return parent
	}
	return task.Text("taskGroupId")
}
