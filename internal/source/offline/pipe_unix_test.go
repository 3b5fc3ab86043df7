//go:build unix

package offline_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/internal/source/offline"
)

// TestPipes reads directories in which pipes, which nobody writes to, have the
// names of files: opening one would wait for ever, whatever the context says.
func TestPipes(t *testing.T) {
	t.Parallel()
	recorder, dir := record(t)
	askAll(t.Context(), recorder)
	if err := recorder.Finish(); err != nil {
		t.Fatal(err)
	}
	objects, err := filepath.Glob(filepath.Join(dir, "objects", "*"))
	if err != nil || len(objects) == 0 {
		t.Fatal(objects, err)
	}
	for _, name := range objects {
		pipe(t, name)
	}
	tree := filepath.Join(t.TempDir(), "hg.example.com", "fruit", "orchard", "@tree", revision)
	write(t, tree, map[string]string{"x": ""})
	pipe(t, filepath.Join(tree, "x"))

	b, done := open(t, dir), make(chan struct{})
	go func() {
		defer close(done)
		for key, said := range askAll(t.Context(), b) {
			if said != "unknown" && said != "absent" {
				t.Errorf("%s: %s", key, said)
			}
		}
		d := offline.Directory{Path: filepath.Join(tree, "../../../../..")}
		if text, err := d.File(t.Context(), template.Commit{Repository: orchard, Revision: revision}, "x"); err == nil {
			t.Errorf("a pipe says %q", text)
		}
		pipe(t, filepath.Join(dir, "manifest.json"))
		if _, err := offline.OpenBundle(dir); err == nil {
			t.Error("a pipe is a manifest")
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was read for 30 s")
	}
}

// pipe puts a pipe in the place of a file.
func pipe(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Error(err)
	}
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Error(err)
	}
}
