package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/taskcluster/generic-worker/internal/filelock"
	"github.com/taskcluster/generic-worker/internal/trash"
)

const sessionPrefix = "task_"

// sessionName is what a session may be called: also a hostile task ID stays
// one plain name.
var sessionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + sessionPrefix + `[A-Za-z0-9_-]{1,40}$`) })

// Insecure is the engine that runs tasks as the worker's own user: a task can
// do to the machine, to the worker and to other tasks whatever that user can.
// Its fields are set before Start and not changed after it.
type Insecure struct {
	// TasksDir holds one directory per task, the trash and a lock. Of what
	// else is in it, only directories named task_* are ever touched.
	TasksDir string
	// CleanUp says that task directories are deleted after the task. Without
	// it they stay until somebody else deletes them.
	CleanUp bool
	// Secrets are values that no task may see: a variable of the worker's
	// environment that contains one of them is not passed on.
	Secrets []string
	Log     *slog.Logger // speaks to the operator; nil is silence

	mu     sync.Mutex
	tasks  *os.Root // TasksDir; nil before Start and after Close
	open   map[string]bool
	trash  *trash.Trash
	unlock func() error
}

// Start makes TasksDir if need be, locks it against other workers, and moves
// what an earlier worker left there to the trash.
func (e *Insecure) Start(ctx context.Context) error {
	dir, err := filepath.Abs(e.TasksDir)
	if err != nil {
		return fmt.Errorf("cannot find tasksDir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make tasksDir: %w", err)
	}
	unlock, err := filelock.Take(dir, "tasksDir")
	if err != nil {
		return err
	}
	tasks, err := os.OpenRoot(dir)
	if err != nil {
		return errors.Join(fmt.Errorf("cannot open tasksDir: %w", err), unlock())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	e.TasksDir, e.tasks, e.unlock, e.open = dir, tasks, unlock, map[string]bool{}
	e.trash = trash.New(e.Log, e.place)
	e.stopLeftovers(ctx)
	if e.CleanUp {
		e.recover(ctx)
	}
	e.trash.Start(ctx)
	return nil
}

// recover moves the directories of tasks that nobody runs any more to the
// trash. One that cannot be moved is in nobody's way.
func (e *Insecure) recover(ctx context.Context) {
	entries, err := fs.ReadDir(e.tasks.FS(), ".")
	if err != nil {
		e.Log.WarnContext(ctx, "cannot look for directories of earlier tasks", "dir", e.TasksDir, "error", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), sessionPrefix) {
			continue
		}
		if err := trash.Throw(e.tasks, entry.Name()); err != nil {
			e.Log.WarnContext(ctx, "cannot move the directory of an earlier task to the trash", "dir", filepath.Join(e.TasksDir, entry.Name()), "error", err)
		}
	}
}

func (e *Insecure) place() *os.Root {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tasks
}

// Open makes the place for a task: the directory of that name, empty and for
// the worker's user only. Something that has the name already goes to the
// trash, unless it is an open session, which is an error.
func (e *Insecure) Open(_ context.Context, name string) (*Session, error) {
	if !sessionName().MatchString(name) {
		return nil, fmt.Errorf("cannot make a task directory named %q: the name must match %s", name, sessionName())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.tasks == nil:
		return nil, errors.New("cannot make a task directory: the engine is not started")
	case e.open[name]:
		return nil, fmt.Errorf("cannot make task directory %s: a running task has it", name)
	}
	root, made, err := e.make(name)
	if err != nil {
		return nil, fmt.Errorf("cannot make task directory %s: %w", filepath.Join(e.TasksDir, name), err)
	}
	e.open[name] = true
	dir := filepath.Join(e.TasksDir, name)
	return &Session{
		Dir:     dir,
		marker:  marker(dir),
		Root:    root,
		environ: append(inherited(os.Environ(), e.Secrets), "PWD="+dir),
		leave:   func() error { return e.leave(name, root, made) },
	}, nil
}

// make returns the new directory and what identifies it.
func (e *Insecure) make(name string) (*os.Root, os.FileInfo, error) {
	err := e.tasks.Mkdir(name, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		if err = trash.Throw(e.tasks, name); err == nil {
			e.trash.Stir()
			err = e.tasks.Mkdir(name, 0o700)
		}
	case errors.Is(err, fs.ErrNotExist):
		// A task took the whole of tasksDir away.
		if err = e.restore(); err == nil {
			err = e.tasks.Mkdir(name, 0o700)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	made, err := e.tasks.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	root, err := e.tasks.OpenRoot(name)
	return root, made, err
}

func (e *Insecure) restore() error {
	if err := os.MkdirAll(e.TasksDir, 0o755); err != nil {
		return err
	}
	tasks, err := os.OpenRoot(e.TasksDir)
	if err != nil {
		return err
	}
	old := e.tasks
	e.tasks = tasks
	return old.Close()
}

// leave gives the directory to the trash. A task may have moved, deleted or
// replaced it: what stands at its place goes to the trash without following
// it, and the directory itself is emptied wherever it is now.
func (e *Insecure) leave(name string, root *os.Root, made os.FileInfo) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, name)
	if !e.CleanUp || e.tasks == nil {
		return root.Close()
	}
	now, err := e.tasks.Lstat(name)
	if err != nil || !os.SameFile(made, now) {
		e.trash.Adopt(root)
	} else if err := root.Close(); err != nil {
		return fmt.Errorf("cannot close task directory %s: %w", name, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := trash.Throw(e.tasks, name); err != nil {
		return fmt.Errorf("cannot move task directory %s to the trash: %w", filepath.Join(e.TasksDir, name), err)
	}
	e.trash.Stir()
	return nil
}

// Settle waits until the directories of tasks that ended are deleted, as far as
// they can be.
func (e *Insecure) Settle(ctx context.Context) error {
	e.mu.Lock()
	bin := e.trash
	e.mu.Unlock()
	if bin == nil {
		return nil
	}
	return bin.Settle(ctx)
}

// Close waits until the trash is empty, but not longer than ctx. What is left
// then, the next Start deletes. No session may be open.
func (e *Insecure) Close(ctx context.Context) error {
	e.mu.Lock()
	bin, unlock := e.trash, e.unlock
	e.mu.Unlock()
	if bin == nil {
		return nil
	}
	err := bin.Close(ctx)
	e.mu.Lock()
	tasks := e.tasks
	e.tasks, e.trash = nil, nil
	e.mu.Unlock()
	return errors.Join(err, tasks.Close(), unlock())
}
