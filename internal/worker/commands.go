package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/usage"
)

// head writes what every log begins with.
func (r *run) head() {
	settings, err := json.MarshalIndent(r.worker.Config.Metadata, "  ", "  ")
	if err != nil {
		settings = []byte("cannot be shown: " + err.Error())
	}
	r.Log.Info("Worker Type (%s) settings:\n  %s\nTask ID: %s\n=== Task Starting ===", r.worker.Config.Identity.TaskQueueID, settings, r.TaskID)
}

// foot writes what every log ends with: how long it took, and the error that
// decided.
func (r *run) foot(err error) {
	r.Log.Info("=== Task Finished ===\nTask Duration: %v\nPhases: %v", time.Since(r.begun).Round(time.Microsecond), r.Phases)
	if err != nil {
		r.Log.Error("%v", err)
	}
}

// commands runs the task's commands one by one, stopping at the first that
// fails. Only they count towards maxRunTime.
func (r *run) commands(ctx context.Context) error {
	return r.stage("commands", func() error {
		ctx, cancel := r.limited(ctx)
		defer cancel()
		for i, c := range r.Payload.Commands {
			if err := r.command(ctx, i, c.Words()); err != nil {
				return err
			}
		}
		return nil
	})
}

// limited ends ctx when the commands have taken maxRunTime together, and warns
// the author before.
func (r *run) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := r.Payload.MaxRunTime
	begun := time.Now()
	ctx, abort := context.WithCancelCause(ctx)
	warning := time.AfterFunc(limit/10*9, func() {
		r.Log.Warn("90 %% of the task's maxRunTime of %v have passed; it is aborted in %v", limit, limit-limit/10*9)
	})
	end := time.AfterFunc(limit, func() {
		abort(task.Errorf(task.Failed, "the task was aborted after %v, at its maxRunTime of %v; raise maxRunTime in the payload if it needs longer",
			time.Since(begun).Round(time.Millisecond), limit))
	})
	return ctx, func() {
		warning.Stop()
		end.Stop()
		abort(nil)
	}
}

// command runs one command and writes its block of the log.
func (r *run) command(ctx context.Context, i int, argv []string) error {
	if ctx.Err() != nil {
		r.Aborted = i > 0
		return context.Cause(ctx)
	}
	if _, err := os.Stat(r.Session.Dir); i > 0 && errors.Is(err, fs.ErrNotExist) {
		return task.Errorf(task.Failed, "command %d cannot be started: the task directory is gone; let no command before it remove or rename the directory", i)
	}
	defer r.Phases.Begin(fmt.Sprint("command ", i), true)()
	r.Log.Info("Executing command %d: %s", i, shellQuoted(argv))
	r.Session.Secrets = r.Secrets()
	command, err := r.Session.Command(argv, r.environment())
	if err != nil {
		return fmt.Errorf("cannot set up command %d: %w", i, err)
	}
	command.Output = r.Log
	command.Grace = r.worker.Config.Grace
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	figures := r.watch(i, command, abort)
	start := time.Now()
	r.LastExit = -1
	result, err := command.Run(ctx)
	if len(result.Killed) > 0 {
		r.Log.Warn("processes of command %d were still running and were killed: %s", i, strings.Join(result.Killed, ", "))
	}
	if hit, ok := err.(*usage.Exceeded); ok { // one within an UnkillableError is the worker's to mend
		r.Aborted = true // in the middle of whatever it was writing
		r.block(result, figures(), hit)
		return task.Errorf(task.Failed, "command %d: %w; use less, or ask the pool's owner for more (taskLimits)", i, hit)
	}
	if err != nil {
		return r.notEnded(i, err, time.Since(start))
	}
	r.LastExit = result.ExitCode
	r.block(result, figures(), nil)
	return r.judge(i, result.ExitCode)
}

// notEnded decides what it means that a command did not come to its own end.
func (r *run) notEnded(i int, err error, elapsed time.Duration) error {
	if start, ok := errors.AsType[*process.StartError](err); ok {
		if start.ExitCode < 0 {
			return task.Errorf(task.ResourceUnavailable, "command %d could not be started for want of resources on the worker: %w", i, err)
		}
		return task.Errorf(task.Failed, "command %d could not be started (a shell would exit with %d): %w; check that the program exists and can be executed", i, start.ExitCode, err)
	}
	r.Aborted = true
	r.Log.Error("Command ABORTED after %v: %v", elapsed.Round(time.Millisecond), err)
	return err
}

// judge resolves the run by a command's exit code.
func (r *run) judge(i, code int) error {
	switch {
	case code == 0:
		return nil
	case slices.Contains(r.Payload.OnExitStatus.Retry, code):
		return task.Errorf(task.IntermittentTask, "command %d exited with %d, which onExitStatus.retry names: the task is retried", i, code)
	}
	return task.Errorf(task.Failed, "command %d exited with %d", i, code)
}

// environment is the payload's variables, then the features', then the
// worker's own, later ones winning.
func (r *run) environment() map[string]string {
	env := map[string]string{}
	for name, value := range r.Payload.Env {
		env[name] = value
	}
	for name, value := range r.Environ() {
		env[name] = value
	}
	c := r.worker.Config
	env["TASK_ID"] = r.TaskID
	env["RUN_ID"] = strconv.Itoa(r.RunID)
	env["TASK_GROUP_ID"] = r.Definition.TaskGroupID
	env["TASK_WORKDIR"] = r.Session.Dir
	env["TASKCLUSTER_ROOT_URL"] = c.RootURL
	if c.WorkerLocation != "" {
		env["TASKCLUSTER_WORKER_LOCATION"] = c.WorkerLocation
	}
	if c.InstanceType != "" {
		env["TASKCLUSTER_INSTANCE_TYPE"] = c.InstanceType
	}
	return env
}

// shellQuoted shows an argv as it could be typed into a POSIX shell, with the
// quotes that programs which read logs know.
func shellQuoted(argv []string) string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		quoted[i] = strings.ReplaceAll(arg, "'", `\'`)
		if arg == "" || strings.ContainsFunc(arg, needsQuotes) {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func needsQuotes(c rune) bool {
	plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-=:/'", c)
	return !plain
}
