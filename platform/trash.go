package platform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

const trashName = ".trash"

// trash deletes what was thrown into it, in one goroutine. The directory is
// the queue: what a crash left in it is deleted after the next start.
type trash struct {
	log    *slog.Logger
	place  func() *os.Root // the directory the trash is in
	stuck  map[string]bool // what cannot be deleted; only the goroutine uses it
	wake   chan struct{}
	ending chan struct{}
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu      sync.Mutex
	adopted []*os.Root
}

func newTrash(log *slog.Logger, place func() *os.Root) *trash {
	return &trash{
		log:    log,
		place:  place,
		stuck:  map[string]bool{},
		wake:   make(chan struct{}, 1),
		ending: make(chan struct{}),
		done:   make(chan struct{}),
	}
}

// throw moves the named thing in dir, whatever it is, to the trash in dir.
func throw(dir *os.Root, name string) error {
	if err := makeTrash(dir); err != nil {
		return err
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	target := filepath.Join(trashName, unique(name))
	err = dir.Rename(name, target)
	if errors.Is(err, fs.ErrPermission) && info.IsDir() {
		// To move a directory one must be able to write to it.
		if makeUsable(dir, name, info) == nil {
			err = dir.Rename(name, target)
		}
	}
	return err
}

// makeTrash makes the trash; something else that has its name is deleted,
// without following it.
func makeTrash(dir *os.Root) error {
	info, err := dir.Lstat(trashName)
	if err == nil && !info.IsDir() {
		err = dir.Remove(trashName)
		if err == nil {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return dir.Mkdir(trashName, 0o700)
	}
	if err == nil {
		return makeUsable(dir, trashName, info)
	}
	return err
}

func unique(name string) string {
	return name[:min(len(name), sessionNameMax)] + "." + rand.Text()[:12]
}

// makeUsable lets the owner of a directory read, change and enter it.
func makeUsable(in *os.Root, name string, info os.FileInfo) error {
	if info.Mode().Perm()&0o700 == 0o700 {
		return nil
	}
	return in.Chmod(name, 0o700)
}

func (t *trash) start(ctx context.Context) {
	// The trash outlives what started the engine and ends with close.
	ctx, t.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	t.stir()
	go t.run(ctx)
}

func (t *trash) run(ctx context.Context) {
	defer close(t.done)
	for last := false; !last; {
		select {
		case <-t.wake:
		case <-t.ending:
			last = true
		}
		t.empty(ctx)
	}
}

// stir tells that there is something to delete.
func (t *trash) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// adopt takes over a directory that is no longer where it was made: what is in
// it is deleted, through the handle.
func (t *trash) adopt(root *os.Root) {
	t.mu.Lock()
	t.adopted = append(t.adopted, root)
	t.mu.Unlock()
	t.stir()
}

// close lets the goroutine empty the trash once more and ends it, at the
// latest when ctx is done.
func (t *trash) close(ctx context.Context) error {
	close(t.ending)
	stop := context.AfterFunc(ctx, func() { t.cancel(context.Cause(ctx)) })
	<-t.done
	if stop() {
		t.cancel(nil)
		return nil
	}
	return fmt.Errorf("cannot empty the trash of task directories in time, the next start goes on with it: %w", context.Cause(ctx))
}

// empty deletes until there is nothing left but what cannot be deleted.
func (t *trash) empty(ctx context.Context) {
	t.mu.Lock()
	adopted := t.adopted
	t.adopted = nil
	t.mu.Unlock()
	for _, root := range adopted {
		t.emptyAdopted(ctx, root)
	}
	for ctx.Err() == nil && t.emptyPlace(ctx) {
	}
}

func (t *trash) emptyAdopted(ctx context.Context, root *os.Root) {
	defer root.Close()
	err := newSweep(root).clear(ctx, root, ".", 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		t.log.WarnContext(ctx, "a task moved its directory away, and not everything in it can be deleted; delete it yourself",
			"madeAt", root.Name(), "error", err)
	}
}

// emptyPlace deletes what is in the trash directory and tells whether to look
// again.
func (t *trash) emptyPlace(ctx context.Context) (again bool) {
	root, err := t.place().OpenRoot(trashName)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.report(ctx, trashName, err)
		return false
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		t.report(ctx, trashName, err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if ctx.Err() != nil {
			return false
		}
		if t.stuck[name] {
			continue
		}
		again = true
		if err := newSweep(root).delete(ctx, name); err != nil && ctx.Err() == nil {
			t.stuck[name] = true
			t.report(ctx, filepath.Join(trashName, name), err)
		}
	}
	return again
}

func (t *trash) report(ctx context.Context, name string, err error) {
	t.log.WarnContext(ctx, "cannot delete what a task left behind; it is tried again after the next start, or delete it yourself",
		"path", filepath.Join(t.place().Name(), name), "error", err)
}
