package mounts

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

// smallDisk mounts a file system of 3 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a small file system cannot be mounted by this user: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestD3FullDisk has too little room for content, in the store and in the task,
// and then enough.
func TestD3FullDisk(t *testing.T) {
	t.Parallel()
	small := smallDisk(t)
	s := newSceneAt(t, small)
	content := make([]byte, 2<<20)
	rand.Read(content)
	s.put("/large", content)
	s.put("/tar", archive(t, map[string]string{"a": string(content)}))
	ballast := filepath.Join(small, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	mounts := map[string]payload.Mount{
		"file": {File: "f", Content: &payload.Content{URL: s.url + "/large"}},
		"tree": tree("d", &payload.Content{URL: s.url + "/tar"}),
	}
	for name, mount := range mounts {
		v := s.visitor(t, mount)
		refused(t, v.mounted(t, nil), task.ResourceUnavailable, `^\[mounts\] the worker has no room for mounts\[0\]: `)
		if left, kept := files(t, v.dir), s.config.Store.List(); len(left) > 0 || len(kept) > 0 {
			t.Errorf("%s: %q is in the task, %+v in the store", name, left, kept)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := s.config.Store.Free(t.Context(), small, 1); err != nil { // waits until what failed is deleted
		t.Fatal(err)
	}
	v := s.visitor(t, mounts["tree"])
	if err := v.mounted(t, func() {
		if v.read(t, "d/a") != string(content) {
			t.Error("the content is another")
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestForbiddenPlaces are those outside the task directory that the payload
// names and nobody can write to.
func TestForbiddenPlaces(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.put("/tar", archive(t, map[string]string{"x": "x"}))
	for name, mount := range map[string]payload.Mount{
		"a file of the payload": {File: "/proc/self/mem", Content: &payload.Content{Inline: []byte("x")}},
		"a file":                {File: "/proc/self/mem", Content: &payload.Content{URL: s.url + "/tar"}},
		"a tree":                tree("/sys/kernel/made", &payload.Content{URL: s.url + "/tar"}),
		"a cache":               writable("/sys/kernel/made", "c"),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, s.visitor(t, mount).mounted(t, nil), task.Failed, `change the place of mounts\[0\]$`)
		})
	}
}

// TestCacheOnAnotherDisk has its place outside the task directory, where nothing
// is left of it, however the task ends: the next one would find its place taken.
func TestCacheOnAnotherDisk(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	at := filepath.Join(smallDisk(t), "at")
	if err := os.Mkdir(at, 0o755); err != nil { // an empty directory, as some images have
		t.Fatal(err)
	}
	cached := writable(filepath.ToSlash(at), "c")
	left := func() []string { return files(t, filepath.Dir(at)) }
	for round, end := range []func(v *visitor){
		func(v *visitor) {}, func(v *visitor) {}, func(v *visitor) { v.run.Aborted = true }, func(v *visitor) {},
	} {
		v := s.visitor(t, cached)
		if err := v.mounted(t, func() {
			if had := len(left()); had != round%3 {
				t.Errorf("in round %d the task found %q", round, left())
			}
			if err := os.WriteFile(filepath.Join(at, strings.Repeat("x", round+1)), nil, 0o600); err != nil {
				t.Error(err)
			}
			end(v)
		}); err != nil {
			t.Fatal(err)
		}
		if len(left()) > 0 {
			t.Errorf("after round %d there is %q", round, left())
		}
	}
	// What the cache cannot be copied to, since it has become too large, stays as it was.
	ballast := filepath.Join(filepath.Dir(at), "ballast")
	if err := s.visitor(t, cached).mounted(t, func() {
		if err := os.WriteFile(filepath.Join(at, "large"), make([]byte, 2<<20), 0o600); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, s.visitor(t, cached).mounted(t, nil), task.ResourceUnavailable, `no room for mounts\[0\]`)
	if diff := cmp.Diff([]string{"ballast"}, left()); diff != "" {
		t.Error(diff)
	}
	if kept, err := cache.Look(s.config.Store.Dirs()); err != nil || len(kept) != 1 || kept[0].InUse {
		t.Errorf("a worker that is started after a kill would find %+v, %v", kept, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.visitor(t, cached).mounted(t, func() {
		if got := left(); len(got) != 2 {
			t.Errorf("the cache has %q", got)
		}
	}); err != nil {
		t.Error(err)
	}
}
