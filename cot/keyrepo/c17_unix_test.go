//go:build unix

package keyrepo_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/taskcluster/generic-worker/cot/keyrepo"
)

// TestC17WritableByOthers: what others can change is not read.
func TestC17WritableByOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	ring := filepath.Join(w.dir, "docker-worker", "2031", "docker.pub")
	linked := filepath.Join(t.TempDir(), "linked.pub")
	if err := os.Symlink(ring, linked); err != nil {
		t.Fatal(err)
	}
	if _, err := keyrepo.ReadKeys(linked); !errors.Is(err, keyrepo.ErrExposed) {
		t.Errorf("a link: %v", err)
	}
	store := keyrepo.Store{Dir: filepath.Join(t.TempDir(), "keys")}
	if _, err := store.Update(t.Context(), w.read(), false); err != nil {
		t.Fatal(err)
	}
	exported, err := filepath.Glob(filepath.Join(store.Dir, "2*"))
	if err != nil || len(exported) != 1 {
		t.Fatal(exported, err)
	}
	keys := func() error { _, err := keyrepo.ReadKeys(filepath.Dir(ring)); return err }
	files := func() error { _, err := keyrepo.ReadFiles(t.Context(), w.dir, nil); return err }
	current := func() error { _, err := store.Current(t.Context()); return err }
	for _, row := range []struct {
		path string
		read func() error
	}{
		{ring, keys},
		{filepath.Dir(ring), keys},
		{ring, files},
		{filepath.Join(w.dir, "docker-worker"), files},
		{w.dir, files},
		{store.Dir, current},
		{filepath.Join(store.Dir, "current"), current},
		{exported[0], current},
		{filepath.Join(exported[0], "release.json"), current},
		{filepath.Join(exported[0], "docker-worker"), current},
		{filepath.Join(exported[0], "docker-worker", w.docker.Fingerprint()+".asc"), current},
	} {
		info, err := os.Stat(row.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := row.read(); err != nil {
			t.Errorf("%s: %v", row.path, err)
		}
		for _, more := range []os.FileMode{0o020, 0o002} {
			if err := os.Chmod(row.path, info.Mode().Perm()|more); err != nil {
				t.Fatal(err)
			}
			if err := row.read(); !errors.Is(err, keyrepo.ErrExposed) {
				t.Errorf("%s with %o: %v", row.path, more, err)
			}
		}
		if err := os.Chmod(row.path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	// What others can change in a work tree does not matter to what is signed.
	if err := os.Chmod(ring, 0o666); err != nil {
		t.Fatal(err)
	}
	checkVerdicts(w, w.read())
}
