// Package trash deletes directory trees without keeping anybody waiting. To throw
// something away is one rename, into a directory beside it; one goroutine
// empties that directory. It deletes through handles: it follows no link, enters
// no mount, and does not care how deep or strangely named a tree is.
package trash

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

// Name is what the directory is called that things are thrown into.
const Name = ".trash"

// nameMax is how much of the name of what is thrown away is kept.
const nameMax = 20

// Trash deletes what was thrown into it, in one goroutine. The directory is
// the queue: what a crash left in it is deleted after the next start.
type Trash struct {
	log    *slog.Logger
	place  func() *os.Root // the directory the trash is in
	stuck  map[string]bool // what cannot be deleted; only the goroutine uses it
	wake   chan struct{}
	asked  chan chan struct{}
	ending chan struct{}
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu      sync.Mutex
	adopted []*os.Root
}

// New makes a trash that does nothing before Start. place returns the directory
// it is in, which may change; log speaks to the operator.
func New(log *slog.Logger, place func() *os.Root) *Trash {
	return &Trash{
		log:    log,
		place:  place,
		stuck:  map[string]bool{},
		wake:   make(chan struct{}, 1),
		asked:  make(chan chan struct{}),
		ending: make(chan struct{}),
		done:   make(chan struct{}),
	}
}

// Throw moves the named thing in dir, whatever it is, to the trash in dir, where
// it is deleted when the trash is stirred.
func Throw(dir *os.Root, name string) error {
	if err := Make(dir); err != nil {
		return err
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	target := filepath.Join(Name, unique(name))
	err = dir.Rename(name, target)
	if errors.Is(err, fs.ErrPermission) && info.IsDir() {
		// To move a directory one must be able to write to it.
		if makeUsable(dir, name, info) == nil {
			err = dir.Rename(name, target)
		}
	}
	return err
}

// Make makes the trash in dir; something else that has its name is deleted,
// without following it. Throw does so by itself.
func Make(dir *os.Root) error {
	info, err := dir.Lstat(Name)
	if err == nil && !info.IsDir() {
		err = dir.Remove(Name)
		if err == nil {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return dir.Mkdir(Name, 0o700)
	}
	if err == nil {
		return makeUsable(dir, Name, info)
	}
	return err
}

func unique(name string) string {
	return name[:min(len(name), nameMax)] + "." + rand.Text()[:12]
}

// makeUsable lets the owner of a directory read, change and enter it.
func makeUsable(in *os.Root, name string, info os.FileInfo) error {
	if info.Mode().Perm()&0o700 == 0o700 {
		return nil
	}
	return in.Chmod(name, 0o700)
}

// Start begins to empty the trash, until Close.
func (t *Trash) Start(ctx context.Context) {
	// The trash outlives what started it and ends with Close.
	ctx, t.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	t.Stir()
	go t.run(ctx)
}

func (t *Trash) run(ctx context.Context) {
	defer close(t.done)
	for last := false; !last; {
		var waiting chan struct{}
		select {
		case <-t.wake:
		case waiting = <-t.asked:
		case <-t.ending:
			last = true
		}
		t.empty(ctx)
		if waiting != nil {
			close(waiting)
		}
	}
}

// Stir tells that there is something to delete.
func (t *Trash) Stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Settle waits until what was thrown away before is deleted, as far as it can
// be. Under a done ctx it returns the cause.
func (t *Trash) Settle(ctx context.Context) error {
	emptied := make(chan struct{})
	select {
	case t.asked <- emptied:
	case <-t.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-emptied:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Adopt takes over a directory that is no longer where it was made: what is in
// it is deleted, through the handle.
func (t *Trash) Adopt(root *os.Root) {
	t.mu.Lock()
	t.adopted = append(t.adopted, root)
	t.mu.Unlock()
	t.Stir()
}

// Close lets the goroutine empty the trash once more and ends it, at the
// latest when ctx is done.
func (t *Trash) Close(ctx context.Context) error {
	close(t.ending)
	stop := context.AfterFunc(ctx, func() { t.cancel(context.Cause(ctx)) })
	<-t.done
	if stop() {
		t.cancel(nil)
		return nil
	}
	return fmt.Errorf("cannot empty the trash in %s in time, the next start goes on with it: %w", t.place().Name(), context.Cause(ctx))
}

// empty deletes until there is nothing left but what cannot be deleted.
func (t *Trash) empty(ctx context.Context) {
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

func (t *Trash) emptyAdopted(ctx context.Context, root *os.Root) {
	defer root.Close()
	err := newSweep(root).clear(ctx, root, ".", 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		t.log.WarnContext(ctx, "a task moved its directory away, and not everything in it can be deleted; delete it yourself",
			"madeAt", root.Name(), "error", err)
	}
}

// emptyPlace deletes what is in the trash directory and tells whether to look
// again.
func (t *Trash) emptyPlace(ctx context.Context) (again bool) {
	root, err := t.place().OpenRoot(Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.report(ctx, Name, err)
		return false
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		t.report(ctx, Name, err)
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
			t.report(ctx, filepath.Join(Name, name), err)
		}
	}
	return again
}

func (t *Trash) report(ctx context.Context, name string, err error) {
	t.log.WarnContext(ctx, "cannot delete what was thrown away; it is tried again after the next start, or delete it yourself",
		"path", filepath.Join(t.place().Name(), name), "error", err)
}
