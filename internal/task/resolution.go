package task

import (
	"errors"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// Resolution is how a run ends.
type Resolution int

// The resolutions of a run. Everything but Completed and Failed is the queue's
// "exception" with the reason of that name; the queue runs a task again after
// WorkerShutdown and IntermittentTask while it has retries left.
const (
	Completed           Resolution = iota
	Failed                         // the author's commands or artifacts
	MalformedPayload               // the author's payload; nothing was run
	ResourceUnavailable            // something the task needed could not be had
	InternalError                  // ours to fix
	WorkerShutdown                 // the machine goes away
	IntermittentTask               // worth another try: an exit code the author wants retried, an input that could not be had just now
	Canceled                       // the run is no longer ours: never reported
)

var outcomes = [...]queue.Outcome{
	Completed:           {State: "completed"},
	Failed:              {State: "failed"},
	MalformedPayload:    {State: "exception", Reason: "malformed-payload"},
	ResourceUnavailable: {State: "exception", Reason: "resource-unavailable"},
	InternalError:       {State: "exception", Reason: "internal-error"},
	WorkerShutdown:      {State: "exception", Reason: "worker-shutdown"},
	IntermittentTask:    {State: "exception", Reason: "intermittent-task"},
	Canceled:            {State: "exception", Reason: "canceled"},
}

// Outcome is what the queue is told, in its words.
func (r Resolution) Outcome() queue.Outcome { return outcomes[r] }

// String is the outcome as people write it: "completed", "failed" or
// "exception/<reason>".
func (r Resolution) String() string {
	o := r.Outcome()
	if o.Reason == "" {
		return o.State
	}
	return o.State + "/" + o.Reason
}

// Error is an error that knows how it resolves the run. It may be the cause of
// a canceled context.
type Error struct {
	Resolution Resolution
	err        error
	made       time.Time
}

// Errorf makes an Error. The text is for the task's author: what is wrong, and
// what to change.
func Errorf(r Resolution, format string, args ...any) error {
	return &Error{Resolution: r, err: fmt.Errorf(format, args...), made: time.Now()}
}

func (e *Error) Error() string { return e.err.Error() }

// Unwrap leads to all that Errorf was given with %w.
func (e *Error) Unwrap() error { return e.err }

// Age is how long ago the error was made: as the cause of an abort, how long
// the run has been ending.
func (e *Error) Age() time.Duration { return time.Since(e.made) }

// Immediate tells whether what runs under a context with this cause is stopped
// without a grace period: nobody waits for a canceled run any more.
func (e *Error) Immediate() bool { return e.Resolution == Canceled }

// ResolutionOf returns the resolution err carries: Completed for nil, and
// InternalError for an error that nobody marked.
func ResolutionOf(err error) Resolution {
	if err == nil {
		return Completed
	}
	if typed, ok := errors.AsType[*Error](err); ok {
		return typed.Resolution
	}
	return InternalError
}

// First returns the first of its arguments that is not nil: the error that
// decides.
func First(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
