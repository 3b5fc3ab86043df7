package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
)

func TestResolutions(t *testing.T) {
	t.Parallel()
	for resolution, want := range map[Resolution]struct {
		outcome queue.Outcome
		text    string
	}{
		Completed:           {queue.Outcome{State: "completed"}, "completed"},
		Failed:              {queue.Outcome{State: "failed"}, "failed"},
		MalformedPayload:    {queue.Outcome{State: "exception", Reason: "malformed-payload"}, "exception/malformed-payload"},
		ResourceUnavailable: {queue.Outcome{State: "exception", Reason: "resource-unavailable"}, "exception/resource-unavailable"},
		InternalError:       {queue.Outcome{State: "exception", Reason: "internal-error"}, "exception/internal-error"},
		WorkerShutdown:      {queue.Outcome{State: "exception", Reason: "worker-shutdown"}, "exception/worker-shutdown"},
		IntermittentTask:    {queue.Outcome{State: "exception", Reason: "intermittent-task"}, "exception/intermittent-task"},
		Canceled:            {queue.Outcome{State: "exception", Reason: "canceled"}, "exception/canceled"},
	} {
		if got := resolution.Outcome(); got != want.outcome || resolution.String() != want.text {
			t.Errorf("%d is %v, %s", resolution, got, resolution)
		}
	}
}

func TestErrorsCarryTheResolution(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	failed := Errorf(Failed, "exit code 1")
	aborted, abort := context.WithCancelCause(t.Context())
	abort(Errorf(WorkerShutdown, "the machine goes away"))
	for _, row := range []struct {
		err  error
		want Resolution
	}{
		{nil, Completed},
		{plain, InternalError},
		{failed, Failed},
		{fmt.Errorf("command 3: %w", failed), Failed},
		{errors.Join(plain, failed), Failed},
		{Errorf(MalformedPayload, "bad: %w", failed), MalformedPayload},
		{context.Cause(aborted), WorkerShutdown},
		{context.Canceled, InternalError},
		{First(nil, failed, Errorf(Canceled, "")), Failed},
		{First(nil, plain, failed), InternalError},
		{First(), Completed},
		{First(nil, nil), Completed},
	} {
		if got := ResolutionOf(row.err); got != row.want {
			t.Errorf("%v resolves as %v, want %v", row.err, got, row.want)
		}
	}
}

func TestErrorsLeadToTheirCauses(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", Errorf(Failed, "cannot read: %w, %w", io.ErrUnexpectedEOF, fs.ErrNotExist))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v hides its causes", err)
	}
	if want := "outer: cannot read: unexpected EOF, file does not exist"; err.Error() != want {
		t.Errorf("the text is %q", err)
	}
}

func TestOnlyCanceledIsImmediate(t *testing.T) {
	t.Parallel()
	for resolution := range Canceled + 1 {
		typed, ok := errors.AsType[*Error](Errorf(resolution, "x"))
		if !ok || typed.Immediate() != (resolution == Canceled) {
			t.Errorf("%v: immediate is %v", resolution, typed.Immediate())
		}
	}
}

func TestEnviron(t *testing.T) {
	t.Parallel()
	var run Run
	run.Setenv("A", "1")
	run.Setenv("A", "2")
	env := run.Environ()
	env["B"] = "changed by the caller"
	if env = run.Environ(); len(env) != 1 || env["A"] != "2" {
		t.Errorf("the environment is %v", env)
	}
}

func TestSecretVariables(t *testing.T) {
	t.Parallel()
	log, err := CreateLog(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	run := Run{Log: log}
	run.Setenv("PLAIN", "1")
	run.SetSecret("TOKEN", "correct horse")
	if env := run.Environ(); env["TOKEN"] != "correct horse" || !slices.Equal(run.Secrets(), []string{"TOKEN"}) {
		t.Errorf("the environment is %v, and secret in it %v", env, run.Secrets())
	}
	if text := log.secrets.Mask("a correct horse"); text != "a "+mask.Mark {
		t.Errorf("the log has %q", text)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}
