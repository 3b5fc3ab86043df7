package process

import (
	"context"
	"io"
	"time"

	"github.com/taskcluster/generic-worker/process/terminal"
	"github.com/taskcluster/generic-worker/process/usage"
)

// Command is one program to run to its end. The zero value of every field but
// Argv and Dir is usable.
type Command struct {
	// Argv is the program and its arguments. The program is looked up in Env's
	// PATH, relative to Dir, and on Unix then in that of this process.
	Argv []string
	Dir  string   // working directory
	Env  []string // complete environment, NAME=value; nil is empty, never the worker's
	// Output receives what the command and its descendants write to standard
	// output and standard error, in the order it was read; nil discards it.
	// Writes come from one goroutine at a time, and Run returns after the last.
	// A failed write does not stop the command, nor the writes after it. A
	// Write that blocks holds up the command, and Run with it.
	Output io.Writer
	As     Identity
	// Limits are kept by the system where it can, else by looking at the
	// command ten times a second; [Enforce] tells which. A command that hits
	// its limit of memory or processes is killed.
	Limits usage.Limits
	// Beside, if set, runs in a goroutine of its own from the start of the
	// command on. Its context is done when the command has ended and all its
	// figures are known; Run waits for Beside to return then. An error before
	// that ends the command, with the error as the cause.
	Beside func(ctx context.Context, command *Running) error
	// OOMScore is where the processes stand when Linux looks for one to kill
	// for want of memory: 1000 is first, 0 an ordinary place.
	OOMScore int
	// Grace is the time between the polite request to stop and the kill; 0
	// kills at once.
	Grace time.Duration
	// Marker, if set, is a NAME=value pair added to Env by which Sweep finds
	// descendants that left every group, also after a restart of the worker.
	Marker string
	// Terminal, if set, is the program's terminal, and Output gets nothing. The
	// caller reads it meanwhile, and releases and closes it after Run.
	Terminal *terminal.Terminal
}

// Identity is the operating-system user a command runs as; the zero value is
// the worker's own.
type Identity struct{ osFields }

// Result is how a command ended.
type Result struct {
	ExitCode int    // as the shell shows it: 128+n for signal n on Unix; -1 if the command did not start, or could not be killed
	Signal   string // the signal that ended it, such as "killed", or ""
	Wall     time.Duration
	User     time.Duration // of the command and all descendants that could be measured
	System   time.Duration
	// PeakMemory is the largest resident size in bytes, of the whole group
	// where the platform tells (cgroup, job object), else of its largest process; 0 if unknown.
	PeakMemory int64
	// Killed lists processes that were still alive after the command ended,
	// or after the grace period of one that was stopped, as "pid name"; at
	// most 50 of them.
	Killed []string
}
