package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/filelock"
)

// Scratch makes a directory below parent for one worker that lives as long as
// one task, and locks it. release unlocks and removes it. Directories whose
// worker was killed are cleared away first, with whatever their tasks, which
// are below tasks in them, still have running.
func Scratch(ctx context.Context, parent string, log *slog.Logger) (dir string, release func(), err error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", nil, fmt.Errorf("cannot make a directory to run the task in: %w", err)
	}
	clearScratch(ctx, parent, log)
	if dir, err = os.MkdirTemp(parent, "run-"); err != nil {
		return "", nil, fmt.Errorf("cannot make a directory to run the task in: %w", err)
	}
	unlock, err := filelock.Take(dir, "stateDir")
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() {
		if err := errors.Join(unlock(), os.RemoveAll(dir)); err != nil {
			log.WarnContext(ctx, "cannot remove the run's directory", "dir", dir, "error", err)
		}
	}, nil
}

// clearScratch removes the directories below parent that nobody has locked.
func clearScratch(ctx context.Context, parent string, log *slog.Logger) {
	old, _ := filepath.Glob(filepath.Join(parent, "run-*"))
	for _, dir := range old {
		if _, err := os.Stat(filepath.Join(dir, filelock.Name)); err != nil {
			continue // its process is about to lock it
		}
		unlock, err := filelock.Take(dir, "stateDir")
		if err != nil {
			continue // somebody is running a task there
		}
		log.ErrorContext(ctx, "an earlier run was killed; clearing away what it left", "dir", dir)
		engine := &Insecure{TasksDir: filepath.Join(dir, "tasks"), CleanUp: true, Log: log}
		err = engine.Start(ctx)
		if err := errors.Join(err, engine.Close(ctx), unlock(), os.RemoveAll(dir)); err != nil {
			log.WarnContext(ctx, "cannot clear away an earlier run", "dir", dir, "error", err)
		}
	}
}
