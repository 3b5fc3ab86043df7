package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/taskcluster/generic-worker/internal/task"
)

// withSignals turns signals into the two contexts of a worker. The first
// interrupt drains: running tasks are finished. A second interrupt, or a
// request to terminate or the end of the terminal, aborts them. The returned
// function ends the watch.
func withSignals(parent context.Context, log *slog.Logger) (ctx, drain context.Context, end func()) {
	ctx, abort := context.WithCancelCause(parent)
	drain, stop := context.WithCancel(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // which nohup does
		signal.Notify(signals, syscall.SIGHUP)
	}
	// A reader of our output that goes away must not end us before our tasks:
	// writing to it fails instead. A signal that was ignored would be ignored
	// by the tasks, too.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	go func() {
		for s := range signals {
			if s == os.Interrupt && drain.Err() == nil {
				log.Warn("interrupted: running tasks are finished first; interrupt again to abort them")
				stop()
				continue
			}
			log.Warn("told to stop: running tasks are aborted and given back", "signal", s)
			abort(task.Errorf(task.WorkerShutdown, "the task was aborted because the worker is shutting down; it is retried if it has retries left"))
		}
	}()
	return ctx, drain, func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		close(signals)
		stop()
		abort(nil)
	}
}
