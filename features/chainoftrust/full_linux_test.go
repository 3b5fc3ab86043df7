package chainoftrust

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/task"
)

// TestC4FullDisk lets the task fill the disk that the worker needs.
func TestC4FullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs root to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	run, _ := newRun(t, "{}")
	run.Dir = dir
	if err := os.WriteFile(filepath.Join(dir, "filled"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if err := complete(t, newConfig(t), run); task.ResolutionOf(err) != task.ResourceUnavailable || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Seal returned %v", err)
	}
}
