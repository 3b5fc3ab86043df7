//go:build unix

package artifacts

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
)

func TestSpecialFilesInADirectory(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.write(t, "out/ordinary", "O")
	if err := syscall.Mkfifo(filepath.Join(s.dir, "out", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(s.dir, "out", "zero")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.finish(t, Config{Absolute: true}, directory("out", "public")) }()
	select {
	case err := <-done:
		if task.ResolutionOf(err) != task.Failed {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still waiting")
	}
	want := map[string]string{
		"public/ordinary": "O",
		"public/pipe":     "error invalid-resource-on-worker",
		"public/zero":     "error invalid-resource-on-worker",
	}
	if diff := cmp.Diff(want, s.kept(t)); diff != "" {
		t.Error(diff)
	}
}
