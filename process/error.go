package process

import (
	"fmt"
	"strings"
)

// StartError says that a command was not started.
type StartError struct {
	Program string // Argv[0], or "" if there is none
	// ExitCode tells whose it is to repair. 127 (no such program) and 126 (it
	// cannot be run as it was called) are what a shell would report and are
	// the command's author's; -1 is the machine's, and the same command may
	// start another time or elsewhere.
	ExitCode int
	Err      error
}

// Error says what to change, where that is known.
func (e *StartError) Error() string {
	const longest = 200
	name := e.Program
	if len(name) > longest {
		name = name[:longest] + "..."
	}
	return fmt.Sprintf("cannot start %q: %v", name, e.Err)
}

// Unwrap returns the operating system's error.
func (e *StartError) Unwrap() error { return e.Err }

// UnkillableError says that processes of a command are alive although they
// were killed, such as one waiting for a file system that no longer answers.
// The machine needs attention.
type UnkillableError struct {
	Left []string // "pid name", at most 50
	Err  error    // why the command was stopped; nil if it ended by itself
}

// Error names the processes.
func (e *UnkillableError) Error() string {
	return "cannot kill " + strings.Join(e.Left, ", ") + ": still alive after being killed; restart the machine"
}

// Unwrap returns why the command was stopped.
func (e *UnkillableError) Unwrap() error { return e.Err }
