package worker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// TestRoles: a task has the scopes of its roles as well, which the deployment is
// asked for once, and only if the task would be refused without them.
func TestRoles(t *testing.T) {
	t.Parallel()
	refused := queuetest.Fault{Endpoint: "expandScopes", Kind: queuetest.FaultStatus, Status: 403}
	for _, row := range []struct {
		name  string
		given []string
		fault queuetest.Fault
		want  string
		asked int
		log   string
	}{
		{name: "of a role", given: []string{"assume:project:x"}, want: "completed", asked: 1},
		{name: "of a role and its own", given: []string{"generic-worker:two", "assume:project:x"}, want: "completed", asked: 1},
		{name: "its own", given: []string{"generic-worker:*", "assume:project:x"}, want: "completed"},
		{name: "of another role", given: []string{"assume:project:y"}, want: "exception/malformed-payload", asked: 1, log: "needs the scope generic-worker:one"},
		{name: "no role", given: []string{"project:x"}, want: "exception/malformed-payload", log: "needs the scope generic-worker:one"},
		{name: "perhaps roles", given: []string{"ass*"}, want: "exception/malformed-payload", asked: 1},
		{name: "the service refuses", given: []string{"assume:project:x"}, fault: refused, want: "exception/resource-unavailable", asked: 1, log: "cannot find out what the task's roles stand for"},
		{name: "the service refuses what is not needed", given: []string{"generic-worker:*"}, fault: refused, want: "completed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, queuetest.FakeOptions{}, scoped("generic-worker:one", "generic-worker:two"), scoped("generic-worker:one"))
			s.fake.Role("project:x", "generic-worker:one", "generic-worker:t*")
			if row.fault.Endpoint != "" {
				s.fake.Inject(row.fault)
			}
			s.start()
			run := s.resolved(s.fake.AddTask(shell("true"), with("scopes", row.given)), 0)
			if got := outcome(run); got != row.want {
				t.Errorf("resolved as %s, not %s", got, row.want)
			}
			if log := logOf(t, run); !strings.Contains(log, row.log) {
				t.Errorf("the log does not say %q:\n%s", row.log, log)
			}
			calls := slices.DeleteFunc(s.fake.Calls(), func(c queuetest.Call) bool { return c.Endpoint != "expandScopes" })
			if len(calls) != row.asked {
				t.Errorf("asked %d times, not %d", len(calls), row.asked)
			}
		})
	}
}
