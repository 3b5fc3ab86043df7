package cache_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

// lease gets a writable cache and places it.
func lease(t *testing.T, s *cache.Store, name string, j job) *cache.Writable {
	t.Helper()
	w, err := s.Writable(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Place(t.Context(), j.root, j.dir, "cache"); err != nil {
		t.Fatal(err)
	}
	return w
}

func keep(t *testing.T, w *cache.Writable, j job) (purged string) {
	t.Helper()
	purged, err := w.Keep(t.Context(), j.root, j.dir, "cache")
	if err != nil {
		t.Fatal(err)
	}
	return purged
}

func TestWritableCacheKeepsWhatATaskLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, end := borrowStore(t, dir)
	want := map[string]string{}
	for i := range 3 {
		j := newJob(t)
		w := lease(t, s, "my ../cache\n", j)
		if w.Fresh() != (i == 0) {
			t.Errorf("use %d is fresh: %v", i, w.Fresh())
		}
		if diff := cmp.Diff(want, j.files("cache")); diff != "" {
			t.Error(diff)
		}
		name := fmt.Sprint("dir/file", i)
		j.write("cache/"+name, "x")
		want[name] = "x"
		if len(lent(t, dir)) != 1 {
			t.Error("a worker that is started after a kill would not know that a task had it")
		}
		if purged := keep(t, w, j); purged != "" || len(lent(t, dir)) > 0 {
			t.Errorf("purged: %s; in use: %v", purged, lent(t, dir))
		}
		w.Discard("nothing, since it was kept")
		end()
		s, end = borrowStore(t, dir)
	}
	defer end()
	all := s.List()
	if len(all) != 1 || all[0].Uses != 3 || all[0].InUse || all[0].Bytes == 0 || !strings.HasPrefix(all[0].Path, dir) || strings.Contains(all[0].Path, "my") {
		t.Errorf("the list is %+v", all)
	}
}

func TestCachesOfNamesDoNotMeet(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	for _, name := range []string{"a", "A", "a/b", "a/../a", "..", ".", "con", strings.Repeat("n", 255), "ä", "a\u0308", "\x00", "a "} {
		j := newJob(t)
		w := lease(t, s, name, j)
		if !w.Fresh() {
			t.Errorf("%q is the cache of another name", name)
		}
		keep(t, w, j)
	}
}

func TestDiscardedCacheIsGone(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	j := newJob(t)
	keep(t, lease(t, s, "a", j), j)
	w := lease(t, s, "a", j)
	w.Discard("the task was aborted")
	if all := s.List(); len(all) > 0 {
		t.Errorf("still there is %+v", all)
	}
	if err := os.RemoveAll(filepath.Join(j.dir, "cache")); err != nil {
		t.Fatal(err)
	}
	if w = lease(t, s, "a", j); !w.Fresh() {
		t.Error("the next cache is not fresh")
	}
	w.Discard("")
}

func TestReleaseOfWhatWasNotPlaced(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	j := newJob(t)
	w := lease(t, s, "a", j)
	j.write("cache/file", "x")
	keep(t, w, j)
	j.write("cache/occupied", "x")
	w, err := s.Writable(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Place(t.Context(), j.root, j.dir, "cache"); !errors.Is(err, cache.ErrOccupied) {
		t.Errorf("Place returned %v", err)
	}
	w.Release()
	if err := os.RemoveAll(filepath.Join(j.dir, "cache")); err != nil {
		t.Fatal(err)
	}
	w = lease(t, s, "a", j)
	if diff := cmp.Diff(map[string]string{"file": "x"}, j.files("cache")); diff != "" || w.Fresh() {
		t.Error(diff)
	}
	w.Discard("")
	fresh, err := s.Writable(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	fresh.Release()
	if all := s.List(); len(all) > 0 {
		t.Errorf("in the end there is %+v", all)
	}
}

func TestEachTaskHasItsOwnCache(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	var tasks sync.WaitGroup
	for range 16 {
		j := newJob(t)
		tasks.Go(func() {
			for range 10 {
				w, err := s.Writable(t.Context(), "shared")
				if err == nil {
					err = w.Place(t.Context(), j.root, j.dir, "cache")
				}
				if err != nil {
					t.Error(err)
					return
				}
				// Nobody else has it, or the file would be there.
				mark := filepath.Join(j.dir, "cache/mark")
				file, err := os.OpenFile(mark, os.O_CREATE|os.O_EXCL, 0o600)
				if err == nil {
					err = errors.Join(file.Close(), os.Remove(mark))
				}
				if err == nil {
					_, err = w.Keep(t.Context(), j.root, j.dir, "cache")
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	tasks.Wait()
	if all := s.List(); len(all) != 2 {
		t.Errorf("%d caches are kept, for a capacity of 2", len(all))
	}
}

func TestFreshestCacheComesFirst(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	first, second := newJob(t), newJob(t)
	one, two := lease(t, s, "a", first), lease(t, s, "a", second)
	first.write("cache/mark", "first")
	second.write("cache/mark", "second")
	keep(t, two, second)
	keep(t, one, first)
	w := lease(t, s, "a", second)
	if diff := cmp.Diff(map[string]string{"mark": "first"}, second.files("cache")); diff != "" {
		t.Error(diff)
	}
	w.Discard("")
}

func TestPurge(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	early := time.Now()
	first, second, other := newJob(t), newJob(t), newJob(t)
	keep(t, lease(t, s, "other", other), other)
	one, two := lease(t, s, "a", first), lease(t, s, "a", second)
	keep(t, two, second)
	if dropped, deferred := s.Purge("a", early, "too early"); dropped+deferred > 0 {
		t.Errorf("purged %d and %d that are younger", dropped, deferred)
	}
	if dropped, deferred := s.Purge("a", time.Now().Add(time.Second), "asked for"); dropped != 1 || deferred != 1 {
		t.Errorf("purged %d, and %d in use", dropped, deferred)
	}
	if purged := keep(t, one, first); purged != "asked for" {
		t.Errorf("Keep says %q", purged)
	}
	all := s.List()
	if len(all) != 1 || all[0].Name != "other" {
		t.Errorf("left is %+v", all)
	}
}

func TestRequestsOfTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	j := newJob(t)
	keep(t, lease(t, s, "a", j), j)
	used := lease(t, s, "b", j)
	for _, name := range []string{"a", "b", "c"} {
		if err := cache.Ask(options(dir).Dirs, shelf.Request{What: name, Reason: "by hand", Writable: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "caches/writable/requests/half.json"), []byte(`{"what": "`), 0o600); err != nil {
		t.Fatal(err)
	}
	if purged := keep(t, used, j); purged != "by hand" {
		t.Errorf("Keep says %q", purged)
	}
	if all := s.List(); len(all) > 0 {
		t.Errorf("left is %+v", all)
	}
	for _, requests := range []string{"caches/writable/requests", "downloads/content/requests"} {
		if left, err := os.ReadDir(filepath.Join(dir, requests)); len(left) > 0 || err != nil {
			t.Errorf("in %s there is %v, %v", requests, left, err)
		}
	}
}

func TestCacheThatATaskTookAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(dir string) error{
		"moved":   func(dir string) error { return os.Rename(dir, dir+".away") },
		"removed": os.RemoveAll,
		"a link":  func(dir string) error { return relink(dir, "/etc") },
		"parent is a link": func(dir string) error {
			parent := filepath.Dir(dir)
			return errors.Join(os.Rename(parent, parent+".away"), os.Symlink(parent+".away", parent))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, t.TempDir())
			j := newJob(t)
			w, err := s.Writable(t.Context(), "a")
			if err == nil {
				err = w.Place(t.Context(), j.root, j.dir, "below/cache")
			}
			if err == nil {
				err = away(filepath.Join(j.dir, "below/cache"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Keep(t.Context(), j.root, j.dir, "below/cache"); !errors.Is(err, cache.ErrMoved) {
				t.Errorf("Keep returned %v", err)
			}
			if all := s.List(); len(all) > 0 {
				t.Errorf("left is %+v", all)
			}
		})
	}
}

func TestForeignAndDamagedFilesOfAnEarlierWorker(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(entry string) error{
		"no record":     func(entry string) error { return os.Remove(filepath.Join(entry, "entry.json")) },
		"half a record": func(entry string) error { return os.Truncate(filepath.Join(entry, "entry.json"), 20) },
		"empty record":  func(entry string) error { return os.Truncate(filepath.Join(entry, "entry.json"), 0) },
		"other kind": func(entry string) error {
			return os.WriteFile(filepath.Join(entry, "entry.json"), []byte(`{"kind":"x"}`), 0o600)
		},
		"no content": func(entry string) error { return os.RemoveAll(filepath.Join(entry, "content")) },
		"content a file": func(entry string) error {
			return errors.Join(os.RemoveAll(filepath.Join(entry, "content")), os.WriteFile(filepath.Join(entry, "content"), nil, 0o600))
		},
		"content a link": func(entry string) error { return relink(filepath.Join(entry, "content"), "/etc") },
		"in use":         func(entry string) error { return os.WriteFile(filepath.Join(entry, "lease"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, end := borrowStore(t, dir)
			j := newJob(t)
			keep(t, lease(t, s, "a", j), j)
			path := s.List()[0].Path
			end()
			foreign := newJobIn(t, dir)
			foreign.write("caches/directory-caches.json", "{}")
			foreign.write("caches/aBcDeFgHiJkLmNoPqRsTuV/file", "of another program")
			foreign.write("caches/writable/staging/half-made/content/file", "half")
			if err := damage(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			s, end = borrowStore(t, dir)
			if all := s.List(); len(all) > 0 {
				t.Errorf("still there is %+v", all)
			}
			w := lease(t, s, "a", j)
			if !w.Fresh() {
				t.Error("the cache is not fresh")
			}
			w.Discard("")
			end()
			if diff := cmp.Diff(map[string]string{"file": "of another program"}, foreign.files("caches/aBcDeFgHiJkLmNoPqRsTuV")); diff != "" {
				t.Error(diff)
			}
			for _, empty := range []string{"entries", "staging", ".trash"} {
				if left, err := os.ReadDir(filepath.Join(dir, "caches/writable", empty)); len(left) > 0 || err != nil {
					t.Errorf("in %s there is %v, %v", empty, left, err)
				}
			}
		})
	}
}
