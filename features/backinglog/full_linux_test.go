package backinglog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/task"
)

func TestLogOnAFullDisk(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("needs root to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	run, fake := newRun(t)
	run.Dir = dir
	var err error
	if run.Log, err = task.CreateLog(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	hooks := attach(t, run)
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := printLines(t, run.Log, 800_000)
	run.Log.Info("the end")
	if err := run.Log.Close(); err != nil {
		t.Fatal(err)
	}
	err = hooks.Seal(t.Context())
	if task.ResolutionOf(err) != task.ResourceUnavailable || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Seal returned %v", err)
	}
	_, got := published(t, fake, run)
	if !strings.HasPrefix(got, want[:1<<20]) || !strings.Contains(got, "bytes of the log are missing here: no space left on device") || !strings.HasSuffix(got, "] the end\n") {
		t.Errorf("the %d bytes that were published end with %q", len(got), got[max(0, len(got)-100):])
	}
	if err := hooks.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(elsewhere); len(left) > 0 || err != nil {
		t.Errorf("after Close there is %q, %v", left, err)
	}
}
