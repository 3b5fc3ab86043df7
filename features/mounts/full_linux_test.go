package mounts

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

// TestD3FullDisk has too little room for content, in the store and in the task,
// and then enough.
func TestD3FullDisk(t *testing.T) {
	t.Parallel()
	small := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a small file system cannot be mounted by this user: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(small, unix.MNT_DETACH) })
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
