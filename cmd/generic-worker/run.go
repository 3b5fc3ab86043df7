package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/worker"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform"
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
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			return runWorker(c.Context(), cfg, file)
		},
	}
	c.Flags().StringVar(&file, "config", "generic-worker.config", "configuration file, YAML or JSON")
	return c
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
func runWorker(ctx context.Context, cfg *config.Config, file string) error {
	log := newLogger(slog.LevelInfo)
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
	if len(cfg.Ineffective) > 0 {
		log.Warn("some settings have no effect in this version", "keys", strings.Join(cfg.Ineffective, ", "))
	}
	release, err := lockState(cfg.Worker.StateDir)
	if err != nil {
		return err
	}
	defer release()

	ctx, drain, end := withSignals(ctx, log)
	defer end()
	rotated := config.Rotate(file, os.Environ(), cfg.Credentials, log)
	site, err := openSite(ctx, cfg, rotated, log)
	if err != nil {
		return busyOr(exitUnfit, err)
	}
	defer site.close()
	defer context.AfterFunc(drain, site.endPolls)()
	log.Info("claiming tasks", "rootURL", site.rootURL, "taskQueueId", cfg.Worker.Identity.TaskQueueID, "capacity", cfg.Worker.Capacity)
	defer time.AfterFunc(breath, settleIn).Stop()
	stop, err := site.worker.Run(ctx, drain)
	return stopExit(stop, err)
}

// lockState makes the worker's state directory and takes it.
func lockState(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, exit(exitUnfit, "cannot make the state directory; check stateDir in the configuration: %w", err)
	}
	release, err = platform.Lock(dir)
	return release, busyOr(exitUnfit, err)
}

// busyOr gives an error the exit code of a directory that another worker has,
// or else the given one.
func busyOr(code int, err error) error {
	if err == nil {
		return nil
	}
	if _, busy := errors.AsType[*platform.LockedError](err); busy {
		code = exitDirectoryIsBusy
	}
	return exit(code, "%w", err)
}

// breath is how long after the start the first claim is on its way.
const breath = 50 * time.Millisecond

// settleIn does what the first task would wait for otherwise, and gives back
// the memory that reading the configuration took.
func settleIn() {
	_ = payload.Ready() // an error is every task's to tell
	debug.FreeOSMemory()
}

// stopExit is the exit code of a worker that stopped.
func stopExit(stop worker.Stop, err error) error {
	switch stop {
	case worker.TasksDone:
		return nil
	case worker.Idle:
		return &exitError{code: exitIdle, err: errSilent}
	case worker.Drained:
		return &exitError{code: exitInterrupted, err: errSilent}
	case worker.Aborted:
		return &exitError{code: exitTerminated, err: errSilent}
	}
	return exit(exitUnfit, "the worker stops: %w", err)
}

// newLogger writes the operator's log to standard error.
func newLogger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
