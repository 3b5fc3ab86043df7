// Package exit says which exit code a failure is: one table for scripts, for
// people and for the command explain.
package exit

import (
	"errors"
	"fmt"

	"github.com/taskcluster/generic-worker/internal/task"
)

// Exit codes of the process. Those from 64 on keep the meanings they have had
// for operators' scripts; those below belong to commands about one task.
const (
	Done            = 0
	TaskFailed      = 1
	Malformed       = 10
	Unavailable     = 11
	TaskInternal    = 12
	TaskShutdown    = 13
	Intermittent    = 14
	Canceled        = 15
	Refused         = 16
	NotVerified     = 20
	KeysEnd         = 21
	ChainUndecided  = 22
	ChainFault      = 23
	Usage           = 64
	NoOpenPGPPair   = 66
	Reboot          = 67
	Idle            = 68
	Unfit           = 69
	Terminate       = 70
	Interrupted     = 71
	Terminated      = 72
	InvalidConfig   = 73
	NoKeyPair       = 75
	ConfigExposed   = 77
	NoProtocolPipe  = 78
	NoKey           = 82
	StatusUnread    = 84
	DirectoryIsBusy = 85
)

// Code describes one code for people: what it means and what to do.
type Code struct {
	Code    int    `json:"code"`
	Meaning string `json:"meaning"`
	Action  string `json:"action"`
}

// Codes are all exit codes there are, sorted.
func Codes() []Code {
	return []Code{
		{Done, "done: the task completed, or the worker ran as many tasks as numberOfTasksToRun says", "nothing"},
		{TaskFailed, "the task failed: a command exited with another code than 0, ran out of time, or an artifact is missing", "read the end of the task's log"},
		{Malformed, "the task is malformed and was not run", "mend what the message names and create a new task"},
		{Unavailable, "something the task needed could not be had: queue, storage or disk", "see that it is there and run the task again"},
		{TaskInternal, "the worker could not run the task for a reason of its own", "read the worker's log; the task is not to blame"},
		{TaskShutdown, "the task was cut off because the worker was told to stop", "run the task again"},
		{Intermittent, "the task exited with a code its onExitStatus.retry names, and has no retries left", "look why it fails so often"},
		{Canceled, "the task was canceled or passed its deadline", "create a new task"},
		{Refused, "the queue refused the call", "read the message: it names the scope, the task or the field"},
		{NotVerified, "a signature, a chain of trust, or what they should vouch for does not verify", "read the message: it says what does not; do not use what it names"},
		{KeysEnd, "keys are expired, revoked or not certified, or will be within the time asked for", "renew or remove the keys that are listed"},
		{ChainUndecided, "it could not be found out whether the chain of trust is right: a server did not answer, or a bundle lacks something", "read the rules marked ?, and try again"},
		{ChainFault, "the chain of trust could not be verified, and this machine or the program is at fault", "read the message; free some room on the disk if that is missing, and report a rule verifier or an internal error"},
		{Usage, "the command line is wrong, or the configuration cannot be read: no file, no syntax, an unknown key", "mend what the message names"},
		{NoOpenPGPPair, "an OpenPGP key pair could not be made", "read the message: it says what is wrong with the file to write"},
		{Reboot, "the machine needs a reboot before the next task", "reboot it and start the worker again"},
		{Idle, "no task came for idleTimeoutSecs", "stop the machine, or start the worker again"},
		{Unfit, "tasks cannot be run here, or the queue refuses this worker's credentials", "read the worker's log, mend or replace the machine"},
		{Terminate, "the worker manager says this worker should stop", "stop the machine"},
		{Interrupted, "interrupted from the keyboard (SIGINT); running tasks were finished, or given back after a second interrupt", "nothing"},
		{Terminated, "told to terminate (SIGTERM); running tasks were given back", "nothing"},
		{InvalidConfig, "the configuration can be read, but a value in it is not valid", "mend what the message names; generic-worker validate FILE shows all of it"},
		{NoKeyPair, "a key pair could not be made", "check the path of the file to write"},
		{ConfigExposed, "the configuration holds secrets and other users can read it", "chmod 600 the file"},
		{NoProtocolPipe, "the pipe to the worker runner could not be opened", "check the worker runner's configuration"},
		{NoKey, "a key of the worker is missing or cannot be used", "mend what the message names; check encryptedEnvKeyLocation, ed25519SigningKeyLocation and openpgpSigningKeyLocation"},
		{StatusUnread, "the worker's status or its caches cannot be read or changed", "check stateDir, cachesDir and downloadsDir, and that you may read them"},
		{DirectoryIsBusy, "another worker is working in this directory", "stop it, or give this one another stateDir"},
	}
}

// Error is an error with the exit code it means.
type Error struct {
	Code int
	Err  error
}

// Errorf makes an error that ends the process with code.
func Errorf(code int, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Error is the text of the error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error without its code.
func (e *Error) Unwrap() error { return e.Err }

// ErrSilent goes with an exit code when everything has been said.
var ErrSilent = errors.New("")

// Of is the exit code of a command that ran one task.
func Of(r task.Resolution) int {
	switch r {
	case task.Completed:
		return Done
	case task.Failed:
		return TaskFailed
	case task.MalformedPayload:
		return Malformed
	case task.ResourceUnavailable:
		return Unavailable
	case task.WorkerShutdown:
		return TaskShutdown
	case task.IntermittentTask:
		return Intermittent
	case task.Canceled:
		return Canceled
	}
	return TaskInternal
}
