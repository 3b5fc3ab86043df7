package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/cache"
)

// asUser calls do as somebody whom the modes of files bind, and who owns dir.
func asUser(t *testing.T, dir string, do func() error) {
	t.Helper()
	const nobody = 65534
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		var err error
		if os.Getuid() == 0 {
			err = errors.Join(os.Chown(dir, nobody, nobody), unix.Setfsgid(nobody), unix.Setfsuid(nobody))
		}
		if err == nil {
			err = do()
		}
		ended <- err
	}()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestShutDirectories: what a task leaves without the right to write to it or to
// enter it, as some package managers do, is kept or removed all the same.
func TestShutDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	asUser(t, dir, func() error {
		s, err := cache.Open(context.Background(), options(dir))
		if err != nil {
			return err
		}
		return errors.Join(shutDirectories(s, dir), s.Close(context.Background()))
	})
}

func shutDirectories(s *cache.Store, dir string) error {
	var fills atomic.Int64
	ctx := context.Background()
	for i := range 2 {
		task := filepath.Join(dir, "task"+string(rune('0'+i)))
		if err := os.Mkdir(task, 0o755); err != nil {
			return err
		}
		root, err := os.OpenRoot(task)
		if err != nil {
			return err
		}
		defer root.Close()
		w, err := s.Writable(ctx, "a")
		if err != nil {
			return err
		}
		c, hit, err := s.Content(ctx, treeKey, cache.Want{}, fillTree(&fills))
		if err == nil {
			err = errors.Join(w.Place(ctx, root, task, "cache"), c.Place(ctx, root, task, "tree"))
		}
		if err != nil {
			return err
		}
		if kept := i > 0; w.Fresh() == kept || (hit == cache.Kept) != kept {
			return errors.New("what has shut directories is not kept")
		}
		at := func(name string) string { return filepath.Join(task, name) }
		for _, name := range []string{"cache/shut", "cache/below", "cache/below/shut", "tree/added", "tree/added/shut"} {
			if err := os.MkdirAll(at(name), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(at(name+"/file"), nil, 0o400); err != nil && !errors.Is(err, os.ErrPermission) {
				return err
			}
		}
		for _, name := range []string{"cache/below/shut", "cache/below", "cache/shut", "cache", "tree/added/shut", "tree/added", "tree"} {
			if err := os.Chmod(at(name), map[bool]os.FileMode{true: 0, false: 0o500}[name == "cache/shut"]); err != nil {
				return err
			}
		}
		_, err = w.Keep(ctx, root, task, "cache")
		if err = errors.Join(err, c.Return(ctx, root, task, "tree")); err != nil {
			return err
		}
	}
	return nil
}
