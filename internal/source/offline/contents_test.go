package offline_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestContents: the list has every answer, also that there is no such thing, and
// none that is gone.
func TestContents(t *testing.T) {
	t.Parallel()
	r, dir := record(t)
	content, err := r.Artifact(t.Context(), "task", 0, "public/log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		t.Fatal(err)
	}
	if err := content.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Artifact(t.Context(), "task", 0, "absent"); err == nil {
		t.Fatal("there is an absent artifact")
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	want := map[string]int64{"artifact task 0 absent": -1, "artifact task 0 public/log": 50_000}
	if diff := cmp.Diff(want, b.Contents()); diff != "" {
		t.Error(diff)
	}
	objects, err := filepath.Glob(filepath.Join(dir, "objects", "*"))
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	if err := os.Remove(objects[0]); err != nil {
		t.Fatal(err)
	}
	delete(want, "artifact task 0 public/log")
	if diff := cmp.Diff(want, b.Contents()); diff != "" {
		t.Error(diff)
	}
}
