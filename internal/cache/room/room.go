// Package room finds out whether there is room on every disk that the worker
// uses, and what takes it if there is not. Deleting is for others.
package room

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// Dir is a directory that the worker writes to.
type Dir struct {
	Name string // such as "tasksDir": what the configuration calls it
	Path string
	Need int64 // bytes that must be free for a task; 0 asks for nothing
}

// Cleaner makes room.
type Cleaner interface {
	// Obey does what somebody asked for meanwhile; called before every claim.
	Obey(ctx context.Context)
	// Free discards what was used least on the disk of a directory, until need
	// bytes can be written to it. Too little to discard is no error.
	Free(ctx context.Context, dir string, need int64) (discarded int64, err error)
}

// Watch sees to it that there is room on the disks of some directories.
type Watch struct {
	Dirs []Dir
	// Lenient tells the operator when there is too little room, and goes on.
	Lenient bool
	// FreeBytes tells how much can still be written to the disk of a directory.
	FreeBytes func(dir string) (int64, error)
	// Settle waits until what tasks left behind is deleted.
	Settle func(context.Context) error
	Store  Cleaner
	Log    *slog.Logger
}

// ShortError tells that there is too little room for another task.
type ShortError struct {
	Dir  Dir
	Free int64
	Uses []Use // of the same disk, the largest first
}

// Use is how many bytes a directory of the worker takes.
type Use struct {
	Dir   Dir
	Bytes int64
	Least bool // there are more: counting took too long, or met something that is mounted
}

func (e *ShortError) Error() string {
	var uses []string
	for _, use := range e.Uses {
		atLeast := ""
		if use.Least {
			atLeast = "at least "
		}
		uses = append(uses, fmt.Sprintf("%s %s%s", use.Dir.Name, atLeast, megabytes(use.Bytes)))
	}
	return fmt.Sprintf("%s (%s) has %s free, not the %s that requiredDiskSpaceMegabytes asks for, and no cache is left to delete; of what is on that disk, the worker's are %s",
		e.Dir.Path, e.Dir.Name, megabytes(e.Free), megabytes(e.Dir.Need), strings.Join(uses, ", "))
}

func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", bytes>>20) }

// settleLimit bounds how long Room waits for what tasks left behind to be
// deleted, before caches are deleted as well.
const settleLimit = 30 * time.Second

// Room does what somebody asked for, and deletes caches if there is too little
// room somewhere. If there still is, the error is a *ShortError. It ends with ctx,
// and otherwise within two minutes for each disk.
func (w *Watch) Room(ctx context.Context) error {
	w.Store.Obey(ctx)
	var first error
	for _, dir := range w.Dirs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		short, err := w.check(ctx, dir)
		if err != nil {
			// To know nothing of a disk is no reason to leave the machine idle.
			w.Log.WarnContext(ctx, "cannot tell how much room there is", "dir", dir.Path, "setting", dir.Name, "error", err)
		}
		if short != nil && first == nil {
			first = short
		}
	}
	if w.Lenient && first != nil {
		w.Log.WarnContext(ctx, "there is little room on the disk", "reason", first)
		return nil
	}
	return first
}

// check makes room for one directory, and says what is short.
func (w *Watch) check(ctx context.Context, dir Dir) (error, error) {
	at := existing(dir.Path)
	if dir.Need == 0 {
		return nil, nil
	}
	free, err := w.FreeBytes(at)
	if err != nil || free >= dir.Need {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err := w.Settle(limited); err != nil && ctx.Err() != nil {
		return nil, nil // told to stop
	}
	if free, err = w.FreeBytes(at); err != nil || free >= dir.Need {
		return nil, err
	}
	discarded, err := w.Store.Free(ctx, at, dir.Need)
	if discarded > 0 {
		w.Log.InfoContext(ctx, "deleted caches to make room", "dir", dir.Path, "setting", dir.Name, "bytes", discarded)
	}
	if err != nil {
		return nil, err
	}
	if free, err = w.FreeBytes(at); err != nil || free >= dir.Need {
		return nil, err
	}
	return &ShortError{Dir: dir, Free: free, Uses: w.uses(ctx, at)}, nil
}

// existing is the path, or the nearest directory above it that is there.
func existing(path string) string {
	for {
		_, err := os.Stat(path)
		above := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || above == path {
			return path
		}
		path = above
	}
}

// countLimit bounds how long is counted what takes the room of a disk.
const countLimit = 5 * time.Second

// uses counts what the worker has on the disk of a directory.
func (w *Watch) uses(ctx context.Context, at string) []Use {
	ctx, cancel := context.WithTimeout(ctx, countLimit)
	defer cancel()
	var uses []Use
	for _, dir := range w.Dirs {
		if same, err := tree.SameDisk(at, existing(dir.Path)); err != nil || !same {
			continue
		}
		if use, ok := count(ctx, dir); ok {
			uses = append(uses, use)
		}
	}
	slices.SortFunc(uses, func(a, b Use) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return uses
}

func count(ctx context.Context, dir Dir) (Use, bool) {
	root, err := os.OpenRoot(dir.Path)
	if err != nil {
		return Use{}, false
	}
	defer root.Close()
	bytes, err := tree.Usage(ctx, root)
	return Use{Dir: dir, Bytes: bytes, Least: err != nil}, true
}
