package features

import (
	"context"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/process"
)

// Feature is one thing a task can have. A Feature is shared by all runs of a
// worker, concurrently; what belongs to one run lives in the Hooks.
type Feature interface {
	// Name is what the payload calls the feature, such as "liveLog".
	Name() string
	// Attach looks at the run and returns what to do for it; the zero Hooks if
	// this task did not ask. It starts nothing. An error keeps the task from running.
	Attach(run *task.Run) (Hooks, error)
}

// Hooks are what a feature does for one run. A nil function is skipped. Finish,
// Seal and Close run even if a Prepare failed, so each tolerates not having
// started.
type Hooks struct {
	Scopes   []string // scopes the task must have
	AnyScope []string // scopes of which the task must have one, unless there are none
	Reserves []string // names of artifacts that only this feature publishes

	// Prepare runs before the first command, under the context that an abort ends.
	Prepare func(context.Context) error
	// Watch runs beside each command of the task, from its start on. When the
	// command has ended its context is done, and the worker waits for Watch to
	// return the figures that it wants in the command's block of the log. An
	// error before that ends the command, and is why.
	Watch func(context.Context, Watched) ([]Figure, error)
	// Hold runs when a command failed, before Finish and under the context that
	// an abort ends: it may keep the task's place for people to look at. The run
	// ends as it would have; its error is the operator's to see.
	Hold func(context.Context) error
	// Finish runs after the last command, when everything the task started is
	// dead and the log is still open. The resolution is what is known by then.
	Finish func(context.Context, task.Resolution) error
	// Seal runs when the log is complete and closed, unless the run was canceled.
	Seal func(context.Context) error
	// Close always runs, after the run was resolved; its error is the
	// operator's to see and changes nothing.
	Close func(context.Context) error
}

// Watched is a command while it runs.
type Watched struct {
	Index int // counted from 0
	*process.Running
}

// Figure is a line of the block that follows a command in the log. A label that
// the worker has itself replaces the worker's line.
type Figure struct{ Label, Value string }
