package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/site"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/filelock"
	"github.com/taskcluster/generic-worker/internal/footprint"
	"github.com/taskcluster/generic-worker/internal/telemetry"
	"github.com/taskcluster/generic-worker/internal/worker"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/process/harden"
)

func runCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run",
		Short: "Claim tasks from a queue and run them until told to stop",
		Long: "Claim tasks from the Taskcluster deployment at rootURL and run them.\n" +
			"With rootURL: local the queue is inside this process, and is served to other programs at localQueue.listen.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log := newLogger(slog.LevelInfo)
			closeToTasks(log)
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			return runWorker(c.Context(), cfg, file, log)
		},
	}
	c.Flags().StringVar(&file, "config", "generic-worker.config", "configuration file, YAML or JSON")
	return c
}

// closeToTasks keeps tasks that run as the worker's user from reading the worker. Where
// that is not possible is for the operator to know.
func closeToTasks(log *slog.Logger) {
	if err := harden.Self(); err != nil {
		log.Warn("tasks of the worker's own user can look into the worker", "error", err)
	}
}

// loadConfig reads a configuration; its errors carry the exit code.
func loadConfig(file string) (*config.Config, error) {
	cfg, err := config.Load(file, os.Environ())
	if err != nil {
		return nil, configExit(err)
	}
	return cfg, nil
}

// runWorker is `generic-worker run`: from the configuration to the exit code.
func runWorker(ctx context.Context, cfg *config.Config, file string, log *slog.Logger) error {
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
	if len(cfg.Ineffective) > 0 {
		log.Warn("some settings have no effect in this version; remove them, or see docs/configuration.md for what they are", "keys", strings.Join(cfg.Ineffective, ", "))
	}
	release, err := lockState(cfg.Worker.StateDir)
	if err != nil {
		return err
	}
	defer release()

	ctx, drain, end := withSignals(ctx, log)
	defer end()
	rotated := config.Rotate(file, os.Environ(), cfg.Credentials, log)
	place, err := site.Open(ctx, cfg, rotated, log)
	if err != nil {
		return busyOr(exit.Unfit, err)
	}
	defer place.Close()
	defer context.AfterFunc(drain, place.EndPolls)()
	told, err := observe(ctx, cfg.Telemetry, log)
	if err != nil {
		return err
	}
	defer told.end()
	place.Worker.Observer = worker.Observer{Asked: told.Asked, Started: told.Started, Ended: told.Ended}
	log.Info("claiming tasks", "rootURL", place.RootURL, "taskQueueId", cfg.Worker.Identity.TaskQueueID, "capacity", cfg.Worker.Capacity)
	defer time.AfterFunc(breath, settleIn).Stop()
	told.Ready()
	stop, err := place.Worker.Run(ctx, drain)
	return stopExit(stop, err)
}

// observed is what operators are shown of the worker.
type observed struct {
	*telemetry.Telemetry
	log *slog.Logger
}

// observe starts to show operators what the worker does.
func observe(ctx context.Context, cfg telemetry.Config, log *slog.Logger) (observed, error) {
	cfg.Events = os.Stderr
	t, err := telemetry.Start(ctx, cfg, log)
	if err != nil {
		return observed{}, exit.Errorf(exit.Unfit, "%w", err)
	}
	if address := t.MetricsAddr(); address != nil {
		log.Info("serving metrics", "address", address.String())
	}
	return observed{t, log}, nil
}

func (o observed) end() {
	ctx, cancel := context.WithTimeout(context.Background(), lastTraces)
	defer cancel()
	if err := o.Close(ctx); err != nil {
		o.log.Warn("cannot close cleanly", "error", err)
	}
}

// lastTraces bounds how long a worker that stops sends traces.
const lastTraces = 5 * time.Second

// lockState makes the worker's state directory and takes it.
func lockState(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, exit.Errorf(exit.Unfit, "cannot make the state directory; check stateDir in the configuration: %w", err)
	}
	release, err = filelock.Take(dir, "stateDir")
	return release, busyOr(exit.Unfit, err)
}

// codeOr gives an error that has no exit code the given one.
func codeOr(code int, err error) error {
	if coded, ok := errors.AsType[*exit.Error](err); ok {
		return coded
	}
	return exit.Errorf(code, "%w", err)
}

// busyOr gives an error the exit code of a directory that another worker has,
// or else its own, or else the given one.
func busyOr(code int, err error) error {
	if err == nil {
		return nil
	}
	if _, busy := errors.AsType[*filelock.HeldError](err); busy {
		code = exit.DirectoryIsBusy
	}
	return codeOr(code, err)
}

// breath is how long after the start the first claim is on its way.
const breath = 50 * time.Millisecond

// settleIn does what the first task would wait for otherwise, and gives back
// the memory that the start took.
func settleIn() {
	_ = payload.Ready() // an error is every task's to tell
	footprint.Settle()
}

// stopExit is the exit code of a worker that stopped.
func stopExit(stop worker.Stop, err error) error {
	switch stop {
	case worker.TasksDone:
		return nil
	case worker.Idle:
		return &exit.Error{Code: exit.Idle, Err: exit.ErrSilent}
	case worker.Drained:
		return &exit.Error{Code: exit.Interrupted, Err: exit.ErrSilent}
	case worker.Aborted:
		return &exit.Error{Code: exit.Terminated, Err: exit.ErrSilent}
	}
	return exit.Errorf(exit.Unfit, "the worker stops: %w", err)
}

// newLogger writes the operator's log to standard error.
func newLogger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
