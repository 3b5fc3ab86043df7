package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/shell"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/site"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/trust"
	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/features/metadata"
	"github.com/taskcluster/generic-worker/internal/artifact/savedir"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/filelock"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/taskfile"
	"github.com/taskcluster/generic-worker/internal/terminal"
	"github.com/taskcluster/generic-worker/platform"
)

// localRun is `generic-worker task run`: one task, from its file to its
// artifacts, with a queue and a worker that live for just as long.
type localRun struct {
	file         string
	taskID       string
	artifactsDir string
	keyFile      string
	asJSON       bool
	raw          bool
	verbose      bool
	keys         cot.Signer // that exist only for this task
	stdout       io.Writer
	stderr       io.Writer
}

func taskRunCommand() *cobra.Command {
	r := &localRun{}
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Run one task here and now, without a server",
		Long: "Run the task of a file (YAML or JSON, - for standard input) on this machine: its log is shown as it grows,\n" +
			"its artifacts are written to a directory, and the exit code tells how it ended (see generic-worker explain).",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r.file, r.stdout, r.stderr = args[0], c.OutOrStdout(), c.ErrOrStderr()
			return r.run(c.Context())
		},
	}
	c.Flags().StringVar(&r.taskID, "task-id", "", "id that the task gets, of task new-id (default: a new one)")
	c.Flags().StringVar(&r.keyFile, "encrypted-env-key", "", "file with the private OpenPGP key that encryptedEnv of the task is encrypted to")
	c.Flags().StringVar(&r.artifactsDir, "artifacts", "artifacts", "directory in which each task gets a directory for its artifacts")
	c.Flags().BoolVar(&r.asJSON, "json", false, "print the summary as JSON on standard output, and the log on standard error")
	c.Flags().BoolVar(&r.raw, "raw", false, "show control sequences of the log as they are, also on a terminal")
	c.Flags().BoolVar(&r.verbose, "verbose", false, "show the worker's own log too")
	return c
}

func (r *localRun) run(ctx context.Context) error {
	level := slog.LevelError
	if r.verbose {
		level = slog.LevelInfo
	}
	log := newLogger(level)
	closeToTasks(log)
	definition, err := loadTask(r.file, taskfile.Check)
	if err != nil {
		return err
	}
	definition.ID = r.taskID
	if err := os.MkdirAll(r.artifactsDir, 0o777); err != nil {
		return exit.Errorf(exit.Usage, "cannot make the directory for artifacts; name another with --artifacts: %w", err)
	}
	dir, release, err := platform.Scratch(ctx, filepath.Join(site.UserDir(), "runs"), log)
	if err != nil {
		return exit.Errorf(exit.TaskInternal, "%w", err)
	}
	defer release()
	ctx, drain, end := withSignals(ctx, log)
	defer end()
	cfg := localConfig(dir, definition.TaskQueueID())
	cfg.Caches = site.CachesOf(site.UserDir())
	cfg.Features.EncryptedEnv.KeyLocation = r.keyFile
	if cfg.Features.ChainOfTrust, err = trust.ThrowAwayKeys(); err != nil {
		return exit.Errorf(exit.TaskInternal, "%w", err)
	}
	r.keys = cfg.Features.ChainOfTrust.Keys
	place, err := site.Open(ctx, cfg, nil, log)
	if errors.Is(err, filelock.ErrHeld) {
		// Another run has the caches now: this one begins with empty ones.
		cfg.Caches = site.CachesOf(dir)
		place, err = site.Open(ctx, cfg, nil, log)
	}
	if err != nil {
		return codeOr(exit.TaskInternal, err)
	}
	defer place.Close()
	if err := shell.Note(dir, place.RootURL); err != nil {
		return exit.Errorf(exit.TaskInternal, "%w", err)
	}
	summary, err := r.execute(ctx, drain, place, definition)
	if err != nil {
		return err
	}
	return r.deliver(context.WithoutCancel(ctx), place.People, summary)
}

// localConfig is a worker for one task, everything of it in one directory.
func localConfig(dir, taskQueueID string) *config.Config {
	cfg := config.Local()
	cfg.Worker.Identity = queue.Worker{TaskQueueID: taskQueueID, WorkerGroup: "local", WorkerID: "local"}
	cfg.Worker.StateDir = filepath.Join(dir, "state")
	cfg.Worker.Capacity = 1
	cfg.Features.Metadata = metadata.Config{} // for operators of machines
	cfg.TasksDir = filepath.Join(dir, "tasks")
	cfg.LocalQueue = config.LocalQueue{Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "queue")}
	return cfg
}

// execute creates the task and works until the queue calls it resolved, which
// takes several runs if the task is retried.
func (r *localRun) execute(ctx, drain context.Context, place *site.Site, definition taskfile.Task) (task.Summary, error) {
	taskID, body, err := definition.Encode()
	if err != nil {
		return task.Summary{}, err
	}
	if _, err := place.People.CreateTask(ctx, taskID, body); err != nil {
		return task.Summary{}, exit.Errorf(exit.Malformed, "the queue does not take the task: %w", err)
	}
	drain, done := context.WithCancel(drain)
	defer done()
	var last task.Summary
	place.Worker.Observer.Ended = func(s task.Summary) {
		last = s
		status, err := place.People.Status(context.WithoutCancel(ctx), taskID)
		if err != nil || (status.State != "pending" && status.State != "running") {
			done()
		}
	}
	place.Worker.Runs.Echo = r.logOutput()
	if _, err := place.Worker.Run(ctx, drain); err != nil {
		return last, exit.Errorf(exit.TaskInternal, "the worker stopped: %w", err)
	}
	if last.TaskID == "" {
		return last, exit.Errorf(exit.TaskShutdown, "stopped before the task was started")
	}
	return last, nil
}

// logOutput is where the task's log is shown.
func (r *localRun) logOutput() io.Writer {
	out := r.stdout
	if r.asJSON {
		out = r.stderr
	}
	if !r.raw && terminal.Is(out) {
		return &terminal.Visible{To: out}
	}
	return out
}

// deliver writes the artifacts and the summary, and returns the exit code.
func (r *localRun) deliver(ctx context.Context, client *queue.Client, s task.Summary) error {
	dir := filepath.Join(r.artifactsDir, s.TaskID)
	paths, err := savedir.Dir{From: client, TaskID: s.TaskID, RunID: s.RunID, Path: dir}.SaveAll(ctx, s.Artifacts)
	if err != nil {
		return exit.Errorf(exit.TaskInternal, "%w", err)
	}
	report := newReport(s, dir, paths)
	if report.Certificate, err = trust.Verify(r.keys, s, dir); err != nil {
		return exit.Errorf(exit.TaskInternal, "%w", err)
	}
	if r.asJSON {
		err = writeJSON(r.stdout, report)
	} else {
		err = report.print(r.stdout)
	}
	if err != nil {
		return exit.Errorf(exit.TaskInternal, "cannot show the summary of a task that ended as %v: %w", s.Resolution, err)
	}
	if code := exit.Of(s.Resolution); code != exit.Done {
		return &exit.Error{Code: code, Err: exit.ErrSilent}
	}
	return nil
}
