package osgroups

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
)

func newRun(t *testing.T, groups ...string) *task.Run {
	t.Helper()
	run := tasktest.New(t)
	run.Definition.ProvisionerID, run.Definition.WorkerType = "proj", "linux"
	run.Payload.OSGroups = groups
	return run
}

func TestNoGroups(t *testing.T) {
	t.Parallel()
	for _, groups := range [][]string{nil, {}} {
		run := newRun(t, groups...)
		hooks, err := New().Attach(run)
		if err != nil || hooks.Scopes != nil || hooks.Prepare != nil {
			t.Errorf("got %+v, %v", hooks, err)
		}
		if text := tasktest.Logged(t, run); text != "" {
			t.Errorf("logged %s", text)
		}
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	in, _ := groups(t)
	run := newRun(t, in)
	hooks, err := New().Attach(run)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"generic-worker:os-group:proj/linux/" + in}, hooks.Scopes); diff != "" {
		t.Error(diff)
	}
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, want := tasktest.Logged(t, run), "[osGroups] Commands run as "+name()+", who is in "+in; !strings.Contains(text, want) {
		t.Errorf("logged %s", text)
	}
}

// TestNoMember: all groups that commands would not be in are named, with who
// they run as and what to do about it.
func TestNoMember(t *testing.T) {
	t.Parallel()
	in, out := groups(t)
	run := newRun(t, "no-such-group", in, out, "")
	_, err := New().Attach(run)
	if task.ResolutionOf(err) != task.MalformedPayload {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"[osGroups] the task cannot have its groups:\n",
		`/osGroups/0: this machine has no group "no-such-group"; remove it, or ask the owner of the pool to make it and to put ` + name() + " into it",
		"/osGroups/2: commands run as " + name() + `, who is not in the group "` + out + `"; remove it, or ask the owner of the pool to put ` + name() + " into it and to start the worker again",
		`/osGroups/3: this machine has no group ""`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "/osGroups/1") {
		t.Errorf("a member is refused: %v", err)
	}
}
