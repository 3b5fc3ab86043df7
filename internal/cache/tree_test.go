package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

func place(t *testing.T, c *cache.Content, j job, path string) {
	t.Helper()
	if err := c.Place(t.Context(), j.root, j.dir, path); err != nil {
		t.Fatal(err)
	}
}

func giveBack(t *testing.T, c *cache.Content, j job, path string) {
	t.Helper()
	if err := c.Return(t.Context(), j.root, j.dir, path); err != nil {
		t.Fatal(err)
	}
}

func TestTreeMovesThereAndBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, end := borrowStore(t, dir)
	var fills atomic.Int64
	for _, want := range []cache.Hit{cache.Filled, cache.Kept, cache.Kept} {
		j := newJob(t)
		c, hit := content(t, s, treeKey, hashOf("wood"), fillTree(&fills))
		if hit != want {
			t.Errorf("a use is %q, not %q", hit, want)
		}
		if err := os.MkdirAll(filepath.Join(j.dir, "a/tree"), 0o755); err != nil {
			t.Fatal(err)
		}
		place(t, c, j, "a/tree")
		if diff := cmp.Diff(wood, j.files("a/tree")); diff != "" {
			t.Error(diff)
		}
		if _, err := os.Stat(c.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the tree was not moved: %v", err)
		}
		if !s.List()[0].InUse || len(lent(t, dir)) != 1 {
			t.Error("the tree is not in use")
		}
		// What a task adds is nobody else's.
		j.write("a/tree/lib/sub/added.pyc", "x")
		j.write("a/tree/added", "x")
		giveBack(t, c, j, "a/tree")
		if left := j.files("."); len(left) > 0 {
			t.Errorf("left in the task is %v", left)
		}
		if kinds := lent(t, dir); len(kinds) > 0 {
			t.Errorf("at rest, a %v is in use", kinds)
		}
		end()
		s, end = borrowStore(t, dir)
	}
	end()
	if fills.Load() != 1 {
		t.Errorf("%d fills", fills.Load())
	}
}

func TestTreeThatATaskChangedIsFilledAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(tree string) error{
		"other content of the same length": func(tree string) error {
			return os.WriteFile(filepath.Join(tree, "lib/a"), []byte("x"), 0o644)
		},
		"other content, same time": func(tree string) error {
			path := filepath.Join(tree, "lib/a")
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, []byte("x"), 0o644), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"mode":      func(tree string) error { return os.Chmod(filepath.Join(tree, "lib/a"), 0o777) },
		"setuid":    func(tree string) error { return os.Chmod(filepath.Join(tree, "lib/a"), 0o755|os.ModeSetuid) },
		"gone":      func(tree string) error { return os.Remove(filepath.Join(tree, "lib/a")) },
		"all gone":  func(tree string) error { return errors.Join(os.RemoveAll(tree), os.Mkdir(tree, 0o755)) },
		"link":      func(tree string) error { return relink(filepath.Join(tree, "lib/link"), "/etc/passwd") },
		"link dir":  func(tree string) error { return relink(filepath.Join(tree, "bin"), "/etc") },
		"swapped":   func(tree string) error { return os.Rename(filepath.Join(tree, "lib/a"), filepath.Join(tree, "lib/b")) },
		"hard link": func(tree string) error { return os.Link(filepath.Join(tree, "lib/a"), filepath.Join(tree, "lib/c")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, t.TempDir())
			var fills atomic.Int64
			j := newJob(t)
			c, _ := content(t, s, treeKey, "", fillTree(&fills))
			place(t, c, j, "tree")
			if err := change(filepath.Join(j.dir, "tree")); err != nil {
				t.Fatal(err)
			}
			giveBack(t, c, j, "tree")
			kept := false
			c, hit := content(t, s, treeKey, "", func(ctx context.Context, st *cache.Staging) (cache.Filling, error) {
				kept = st.KeepArchive
				return fillTree(&fills)(ctx, st)
			})
			defer c.Close()
			if hit != cache.Filled || !kept || fills.Load() != 2 {
				t.Errorf("the next use is %q, told to keep the archive: %v", hit, kept)
			}
			place(t, c, j, "tree")
			if diff := cmp.Diff(wood, j.files("tree")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChangesByTasksAreRemembered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, end := borrowStore(t, dir)
	var fills atomic.Int64
	j := newJob(t)
	c, _ := content(t, s, treeKey, "", fillTree(&fills))
	place(t, c, j, "tree")
	j.write("tree/lib/a", "changed")
	giveBack(t, c, j, "tree")
	c, _ = content(t, s, treeKey, "", fillTree(&fills))
	s.Remove(cacheRequest(c))
	c.Close()
	end()
	c, _ = content(t, openStore(t, dir), treeKey, "", func(ctx context.Context, st *cache.Staging) (cache.Filling, error) {
		if !st.KeepArchive {
			t.Error("after a restart, the archive is not to be kept")
		}
		return fillTree(&fills)(ctx, st)
	})
	c.Close()
}

func relink(path, to string) error {
	return errors.Join(os.RemoveAll(path), os.Symlink(to, path))
}

// A change right after the fill has the time of the fill, if the tree does not
// wait for the clock of the file system. Where that clock is fine, no change goes
// unnoticed in any case, so that the wait is looked at as well: it begins with the
// last change, whose time may be a tick before the fill.
func TestChangeRightAfterTheFillIsNoticed(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	var fills atomic.Int64
	for range 20 {
		j := newJob(t)
		begin := time.Now()
		c, hit := content(t, s, treeKey, "", fillTree(&fills))
		if hit != cache.Filled {
			t.Fatalf("a changed tree was handed out: %q", hit)
		}
		place(t, c, j, "tree")
		if waited := time.Since(begin); waited < tree.Racy/2 {
			t.Errorf("the tree was handed out after %v", waited)
		}
		j.write("tree/lib/a", "x")
		giveBack(t, c, j, "tree")
	}
}

func TestSecondTaskGetsACopy(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	var fills atomic.Int64
	first, second, third := newJob(t), newJob(t), newJob(t)
	one, _ := content(t, s, treeKey, "", fillTree(&fills))
	place(t, one, first, "tree")
	two, hit := content(t, s, treeKey, "", fillTree(&fills))
	if hit != cache.Copied {
		t.Errorf("the second use is %q", hit)
	}
	place(t, two, second, "tree")
	if diff := cmp.Diff(wood, second.files("tree")); diff != "" {
		t.Error(diff)
	}
	second.write("tree/lib/a", "changed by the second")
	if diff := cmp.Diff(wood, first.files("tree")); diff != "" {
		t.Error(diff)
	}
	giveBack(t, two, second, "tree")

	first.write("tree/lib/a", "changed by the first")
	first.write("tree/added", "by the first")
	three, hit := content(t, s, treeKey, "", fillTree(&fills))
	if hit != cache.Filled || fills.Load() != 2 {
		t.Errorf("after the first changed it, the use is %q", hit)
	}
	place(t, three, third, "tree")
	if diff := cmp.Diff(wood, third.files("tree")); diff != "" {
		t.Error(diff)
	}
	giveBack(t, one, first, "tree")
	giveBack(t, three, third, "tree")
	if all := s.List(); len(all) != 1 || all[0].InUse {
		t.Errorf("in the end there is %+v", all)
	}
}

func TestTreeIsMergedWithWhatIsThere(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	var fills atomic.Int64
	for _, path := range []string{".", "there"} {
		j := newJob(t)
		j.write(filepath.Join(path, "lib/a"), "older")
		j.write(filepath.Join(path, "mine"), "mine")
		c, _ := content(t, s, treeKey, "", fillTree(&fills))
		place(t, c, j, path)
		want := map[string]string{"mine": "mine"}
		for name, text := range wood {
			want[name] = text
		}
		if diff := cmp.Diff(want, j.files(path)); diff != "" {
			t.Error(diff)
		}
		giveBack(t, c, j, path)
		if diff := cmp.Diff(want, j.files(path)); diff != "" {
			t.Error(diff)
		}
	}
	if fills.Load() != 1 {
		t.Errorf("%d fills", fills.Load())
	}
	j := newJob(t)
	j.write("file", "x")
	c, _ := content(t, s, treeKey, "", fillTree(&fills))
	defer c.Close()
	if err := c.Place(t.Context(), j.root, j.dir, "file"); !errors.Is(err, cache.ErrOccupied) {
		t.Errorf("over a file, Place returned %v", err)
	}
	if err := os.Symlink("/tmp", filepath.Join(j.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := c.Place(t.Context(), j.root, j.dir, "link/tree"); err == nil {
		t.Error("Place followed a link")
	}
	if err := c.Place(t.Context(), j.root, j.dir, "../tree"); err == nil {
		t.Error("Place left the directory")
	}
}

func TestTreeThatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(tree string) error{
		"moved":   func(tree string) error { return os.Rename(tree, tree+".away") },
		"removed": os.RemoveAll,
		"a link":  func(tree string) error { return relink(tree, "/etc") },
		"a file": func(tree string) error {
			return errors.Join(os.RemoveAll(tree), os.WriteFile(tree, nil, 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, t.TempDir())
			var fills atomic.Int64
			j := newJob(t)
			c, _ := content(t, s, treeKey, "", fillTree(&fills))
			place(t, c, j, "tree")
			if err := away(filepath.Join(j.dir, "tree")); err != nil {
				t.Fatal(err)
			}
			if err := c.Return(t.Context(), j.root, j.dir, "tree"); !errors.Is(err, cache.ErrMoved) {
				t.Errorf("Return returned %v", err)
			}
			if all := s.List(); len(all) > 0 {
				t.Errorf("still there is %+v", all)
			}
		})
	}
}

func TestArchiveIsKeptBesideItsTree(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	var downloads, fills atomic.Int64
	fill := func(ctx context.Context, st *cache.Staging) (cache.Filling, error) {
		archive, _, err := s.Content(ctx, treeKey.Archive(), cache.Want{}, fillFile("archive", &downloads))
		if err != nil {
			return cache.Filling{}, err
		}
		defer archive.Close()
		file, err := archive.Open()
		if err != nil {
			return cache.Filling{}, err
		}
		defer file.Close()
		return fillTree(&fills)(ctx, st)
	}
	for range 2 {
		c, _ := content(t, s, treeKey, "", fill)
		s.Remove(cacheRequest(c))
		c.Close()
	}
	if downloads.Load() != 1 || fills.Load() != 2 || !s.Kept(treeKey.Archive()) || s.Kept(treeKey) {
		t.Errorf("%d downloads, %d fills", downloads.Load(), fills.Load())
	}
}

func TestWhyOfATree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	var fills atomic.Int64
	j := newJob(t)
	begin := time.Now().Add(-time.Second)
	c, _ := content(t, s, treeKey, "", fillTree(&fills))
	place(t, c, j, "tree")
	j.write("tree/lib/a", "x")
	giveBack(t, c, j, "tree")
	c, _ = content(t, s, treeKey, "", fillTree(&fills))
	c.Close()
	events, err := cache.Events(options(dir).Dirs, treeKey.Source)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.What+": "+e.Reason)
		if e.Time.Before(begin) || e.Time.After(time.Now()) {
			t.Errorf("an event is of %v", e.Time)
		}
	}
	want := []string{"filled: 0 bytes were downloaded", "returned: ", `discarded: a task changed it: "lib/a" was changed`, "filled: 0 bytes were downloaded"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSortedFunc(events, func(a, b cacheEvent) int { return a.Time.Compare(b.Time) }) {
		t.Error("the events are not in order")
	}
}
