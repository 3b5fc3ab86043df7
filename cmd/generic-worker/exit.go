package main

import (
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/internal/task"
)

// Exit codes of the process. Those from 64 on keep the meanings they have had
// for operators' scripts; those below belong to commands about one task.
const (
	exitDone            = 0
	exitTaskFailed      = 1
	exitMalformed       = 10
	exitUnavailable     = 11
	exitTaskInternal    = 12
	exitTaskShutdown    = 13
	exitIntermittent    = 14
	exitCanceled        = 15
	exitRefused         = 16
	exitUsage           = 64
	exitReboot          = 67
	exitIdle            = 68
	exitUnfit           = 69
	exitTerminate       = 70
	exitInterrupted     = 71
	exitTerminated      = 72
	exitInvalidConfig   = 73
	exitNoKeyPair       = 75
	exitConfigExposed   = 77
	exitNoProtocolPipe  = 78
	exitNoSigningKey    = 82
	exitStatusUnread    = 84
	exitDirectoryIsBusy = 85
)

// exitCode describes one code for people: what it means and what to do.
type exitCode struct {
	Code    int    `json:"code"`
	Meaning string `json:"meaning"`
	Action  string `json:"action"`
}

func exitCodes() []exitCode {
	return []exitCode{
		{exitDone, "done: the task completed, or the worker ran as many tasks as numberOfTasksToRun says", "nothing"},
		{exitTaskFailed, "the task failed: a command exited with another code than 0, ran out of time, or an artifact is missing", "read the end of the task's log"},
		{exitMalformed, "the task is malformed and was not run", "mend what the message names and create a new task"},
		{exitUnavailable, "something the task needed could not be had: queue, storage or disk", "see that it is there and run the task again"},
		{exitTaskInternal, "the worker could not run the task for a reason of its own", "read the worker's log; the task is not to blame"},
		{exitTaskShutdown, "the task was cut off because the worker was told to stop", "run the task again"},
		{exitIntermittent, "the task exited with a code its onExitStatus.retry names, and has no retries left", "look why it fails so often"},
		{exitCanceled, "the task was canceled or passed its deadline", "create a new task"},
		{exitRefused, "the queue refused the call", "read the message: it names the scope, the task or the field"},
		{exitUsage, "the command line is wrong, or the configuration cannot be read: no file, no syntax, an unknown key", "mend what the message names"},
		{exitReboot, "the machine needs a reboot before the next task", "reboot it and start the worker again"},
		{exitIdle, "no task came for idleTimeoutSecs", "stop the machine, or start the worker again"},
		{exitUnfit, "tasks cannot be run here, or the queue refuses this worker's credentials", "read the worker's log, mend or replace the machine"},
		{exitTerminate, "the worker manager says this worker should stop", "stop the machine"},
		{exitInterrupted, "interrupted from the keyboard (SIGINT); running tasks were finished, or given back after a second interrupt", "nothing"},
		{exitTerminated, "told to terminate (SIGTERM); running tasks were given back", "nothing"},
		{exitInvalidConfig, "the configuration can be read, but a value in it is not valid", "mend what the message names; generic-worker validate FILE shows all of it"},
		{exitNoKeyPair, "a key pair could not be made", "check the path of the file to write"},
		{exitConfigExposed, "the configuration holds secrets and other users can read it", "chmod 600 the file"},
		{exitNoProtocolPipe, "the pipe to the worker runner could not be opened", "check the worker runner's configuration"},
		{exitNoSigningKey, "the key to sign with is missing or cannot be read", "make one, or check ed25519SigningKeyLocation"},
		{exitStatusUnread, "the worker's status cannot be read", "check stateDir, and that you may read it"},
		{exitDirectoryIsBusy, "another worker is working in this directory", "stop it, or give this one another stateDir"},
	}
}

// exitError is an error with the exit code it means.
type exitError struct {
	code int
	err  error
}

func exit(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// errSilent goes with an exit code when everything has been said.
var errSilent = errors.New("")

// resolutionExit is the exit code of a command that ran one task.
func resolutionExit(r task.Resolution) int {
	switch r {
	case task.Completed:
		return exitDone
	case task.Failed:
		return exitTaskFailed
	case task.MalformedPayload:
		return exitMalformed
	case task.ResourceUnavailable:
		return exitUnavailable
	case task.WorkerShutdown:
		return exitTaskShutdown
	case task.IntermittentTask:
		return exitIntermittent
	case task.Canceled:
		return exitCanceled
	}
	return exitTaskInternal
}

func explainCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say what an exit code means and what to do",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			codes := exitCodes()
			if len(args) == 1 {
				found, err := exitCodeOf(args[0])
				if err != nil {
					return err
				}
				codes = []exitCode{found}
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), codes)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, e := range codes {
				fmt.Fprintf(w, "%d\t%s\n\twhat to do: %s\n", e.Code, e.Meaning, e.Action)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func exitCodeOf(text string) (exitCode, error) {
	code, err := strconv.Atoi(text)
	if err != nil {
		return exitCode{}, exit(exitUsage, "%q is not an exit code; give a number such as 73", text)
	}
	for _, e := range exitCodes() {
		if e.Code == code {
			return e, nil
		}
	}
	return exitCode{}, exit(exitUsage, "generic-worker does not exit with %d; generic-worker explain lists the codes it has", code)
}
