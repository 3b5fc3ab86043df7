package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/cache"
)

// smallDisk mounts a file system with little room, and some files.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("needs root to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillUp takes all room of a disk until the returned function is called.
func fillUp(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(block)
	}
	if file.Close(); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// settle waits until what was discarded is deleted.
func settle(t *testing.T, s *cache.Store, dir string) {
	t.Helper()
	if _, err := s.Free(t.Context(), dir, 1); err != nil {
		t.Fatal(err)
	}
}

// TestD3FullDisk: whatever is filled or kept when the disk is full is discarded
// as a whole, and the next task works when there is room again.
func TestD3FullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=4m")
	s, end := borrowStore(t, dir)
	j := newJob(t) // on another disk
	keep(t, lease(t, s, "kept", j), j)
	var fills atomic.Int64
	large := strings.Repeat("x", 8<<20)
	treeOf := func(_ context.Context, st *cache.Staging) (cache.Filling, error) {
		return cache.Filling{}, errors.Join(st.Root.WriteFile("first", []byte("x"), 0o600), st.Root.WriteFile("large", []byte(large), 0o600))
	}
	for key, fill := range map[cache.Key]cache.Fill{fileKey: fillFile(large, &fills), treeKey: treeOf} {
		if _, _, err := s.Content(t.Context(), key, cache.Want{}, fill); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("on a full disk, Content returned %v", err)
		}
		if s.Kept(key) {
			t.Error("something of it is kept")
		}
	}
	settle(t, s, dir)
	w := lease(t, s, "large", j)
	j.write("cache/first", "x")
	j.write("cache/large", large)
	if _, err := w.Keep(t.Context(), j.root, j.dir, "cache"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("on a full disk, Keep returned %v", err)
	}
	if all := s.List(); len(all) != 1 || all[0].Name != "kept" {
		t.Errorf("kept is %+v", all)
	}

	settle(t, s, dir)
	empty := fillUp(t, dir)
	_, writable := s.Writable(t.Context(), "other")
	_, _, content := s.Content(t.Context(), treeKey, cache.Want{}, fillTree(&fills))
	t.Logf("without any room: %v; %v", writable, content)
	empty()
	end()
	s = openStore(t, dir)
	for _, e := range s.List() {
		if e.InUse || e.Name != "kept" {
			t.Errorf("kept is %+v", e)
		}
	}
	after := newJob(t)
	c, _, err := s.Content(t.Context(), treeKey, cache.Want{}, fillTree(&fills))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	place(t, c, after, "tree")
	if diff := cmp.Diff(wood, after.files("tree")); diff != "" {
		t.Error(diff)
	}
}

// TestD4NoInodes: the same with room, but without files to be had.
func TestD4NoInodes(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=4m,nr_inodes=40")
	s := openStore(t, dir)
	var fills atomic.Int64
	many := func(_ context.Context, st *cache.Staging) (cache.Filling, error) {
		return cache.Filling{}, writeMany(st.Root, 60)
	}
	if _, _, err := s.Content(t.Context(), treeKey, cache.Want{}, many); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Content returned %v", err)
	}
	settle(t, s, dir)
	c, _ := content(t, s, treeKey, "", fillTree(&fills))
	c.Close()
}

func writeMany(root *os.Root, n int) error {
	for i := range n {
		if err := root.WriteFile(strings.Repeat("n", i+1), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// TestTasksOnAnotherDisk: what cannot move is copied, and what is kept stays whole.
func TestTasksOnAnotherDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	var fills atomic.Int64
	for i := range 3 {
		j := newJobIn(t, smallDisk(t, "size=4m"))
		c, hit := content(t, s, treeKey, "", fillTree(&fills))
		if (hit == cache.Filled) != (i == 0) {
			t.Errorf("use %d is %q", i, hit)
		}
		place(t, c, j, "tree")
		if kinds := lent(t, dir); len(kinds) > 0 {
			t.Errorf("the task has a %v, and not a copy", kinds)
		}
		w := lease(t, s, "a", j)
		if diff := cmp.Diff(wood, j.files("tree")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[bool]map[string]string{true: {}, false: {"sub/file": "x", "link": "-> sub/file"}}[i == 0], j.files("cache")); diff != "" {
			t.Error(diff)
		}
		j.write("tree/lib/a", "changed")
		if mode := modeOf(t, filepath.Join(j.dir, "cache")); i > 0 && mode != os.ModeDir|os.ModeSticky|0o770 {
			t.Errorf("the cache has mode %v", mode)
		}
		if i == 0 {
			if err := os.Chmod(filepath.Join(j.dir, "cache"), os.ModeSticky|0o770); err != nil {
				t.Fatal(err)
			}
			j.write("cache/sub/file", "x")
			if err := os.Symlink("sub/file", filepath.Join(j.dir, "cache/link")); err != nil {
				t.Fatal(err)
			}
		}
		keep(t, w, j)
		giveBack(t, c, j, "tree")
	}
}

// TestHolesStayHoles: the image of a disk, which takes little room, does not take
// more after it was copied.
func TestHolesStayHoles(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	const size, at = 64 << 20, 32 << 20
	for i := range 3 {
		j := newJobIn(t, smallDisk(t, "size=4m"))
		w := lease(t, s, "a", j)
		image, err := os.OpenFile(filepath.Join(j.dir, "cache/image"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			_, err = image.WriteAt([]byte("in the middle"), at)
			err = errors.Join(err, image.Truncate(size))
		}
		got := make([]byte, 20)
		_, readErr := image.ReadAt(got, at-2)
		info, statErr := image.Stat()
		if err := errors.Join(err, readErr, statErr, image.Close()); err != nil || info.Size() != size || string(got) != "\x00\x00in the middle\x00\x00\x00\x00\x00" {
			t.Errorf("in use %d: %v, %d bytes, %q", i, err, info.Size(), got)
		}
		keep(t, w, j)
		if kept := s.List()[0].Bytes; kept > 1<<20 {
			t.Errorf("the cache takes %d bytes", kept)
		}
	}
}
