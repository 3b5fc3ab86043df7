package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/process/output"
)

const (
	farewell   = time.Second           // for what a command that ended by itself left behind to stop politely
	patience   = 30 * time.Second      // for the system to let killed processes go
	rescan     = 10 * time.Millisecond // least time between two searches for descendants
	mostKilled = 50                    // entries of Result.Killed
)

// best is the kind of cgroup that a command gets: the best there is.
const best = "best"

// limits are what tests of Run vary.
type limits struct {
	cgroups  string        // best, the name of a version 1 controller, or "" for none
	patience time.Duration // how long to try to kill
}

// Run starts the command, waits for its end, and kills what it left.
//
// A command that started and ended by itself is no error, whatever its exit
// code. If it could not be started the error is a [*StartError]. If ctx ends,
// the command and its descendants are asked to stop (SIGTERM; Ctrl-Break on
// Windows, where there is a console to send it from), have Grace to do so, and
// are then killed; the error is context.Cause(ctx). A cause that has a method
// Immediate() bool which answers true kills without Grace. If ctx has already
// ended nothing is started.
//
// What is left when a command ended by itself is treated the same, with Grace
// shortened to a second. If something outlives the kill for half a minute, Run
// gives up with an [*UnkillableError], which wraps the cause, if any.
//
// If the command hit one of its Limits the error is a [*usage.Exceeded], and the
// Result as complete as that of one that ended by itself.
//
// Several commands may run at once; the end of one touches no other.
func (c *Command) Run(ctx context.Context) (Result, error) {
	return c.run(ctx, limits{cgroups: best, patience: patience})
}

func (c *Command) run(ctx context.Context, lim limits) (Result, error) {
	if ctx.Err() != nil {
		return Result{ExitCode: -1}, context.Cause(ctx)
	}
	out, pipe, err := output.Open(c.Output)
	if err != nil {
		return Result{ExitCode: -1}, &StartError{Program: c.program(), ExitCode: -1, Err: err}
	}
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	began := time.Now()
	t, err := c.start(ctx, pipe, lim)
	_ = pipe.Close() // the command has its own copy
	if err != nil {
		out.Abandon()
		return Result{ExitCode: -1}, err
	}
	go out.Pump()

	verdict, watched := t.guard(c.Limits, abort), c.beside(ctx, t, abort)
	end := ending{cause: t.await(ctx)}
	if hit := verdict(); hit != nil && end.cause == nil {
		end.cause = hit
	}
	end.clear(t, c.graceFor(end.cause), lim.patience)
	out.Drain()
	watched.freeze()
	res, err := end.report(t, began, out.Failure())
	watched.finish(res)
	return res, err
}

// await returns nil when the command has ended, or why it must end now.
func (t *tree) await(ctx context.Context) error {
	select {
	case <-t.ended:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-t.ended: // it was sooner, if only just
		return nil
	default:
		return context.Cause(ctx)
	}
}

// over tells whether the first process has ended. If it is known to have, the
// news is waited for.
func (t *tree) over(known bool) bool {
	if known {
		<-t.ended
		return true
	}
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// graceFor is how long to wait between asking and killing.
func (c *Command) graceFor(cause error) time.Duration {
	if cause == nil {
		return min(c.Grace, farewell)
	}
	type immediate interface {
		error
		Immediate() bool
	}
	if now, ok := errors.AsType[immediate](cause); ok && now.Immediate() {
		return 0
	}
	return c.Grace
}

// ending is what is found out about a command while it is ended.
type ending struct {
	cause  error    // why it had to end; nil if it did by itself
	killed []string // for Result.Killed
	left   []string // what could not be killed
}

// clear returns when nothing the command started is alive, or when that could
// not be had in time.
func (e *ending) clear(t *tree, grace, patience time.Duration) {
	alive := t.living()
	if len(alive) == 0 {
		return
	}
	if e.cause == nil {
		e.killed = alive.names()
	}
	if grace > 0 && t.ask(alive) {
		alive = outlast(t, alive, grace)
	}
	if e.cause != nil {
		e.killed = alive.names()
	}
	alive = slay(t, alive, patience)
	e.left = alive.names()
	alive.close()
}

// report gathers the result and decides Run's error.
func (e *ending) report(t *tree, began time.Time, output error) (Result, error) {
	res := Result{ExitCode: -1, Killed: e.killed}
	if t.over(len(e.left) == 0) {
		res.Wall = t.endedAt.Sub(began)
		t.bury(&res)
	} else {
		res.Wall = time.Since(began)
		t.giveUp()
	}
	switch {
	case len(e.left) > 0:
		return res, &UnkillableError{Left: e.left, Err: e.cause}
	case e.cause != nil:
		return res, e.cause
	case output != nil:
		return res, fmt.Errorf("cannot hand on the command's output: %w", output)
	}
	return res, nil
}
