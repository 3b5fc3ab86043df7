package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

// room is a disk on which only entries take room: what is gone from the shelves
// is free.
type room struct {
	mu    sync.Mutex
	store *cache.Store
	sizes map[string]int64 // by id
	size  int64            // of the disk
}

func (r *room) free(string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free := r.size
	for _, e := range r.store.List() {
		free -= r.sizes[e.ID]
	}
	return free, nil
}

// TestFreeTakesWhatWasUsedLeast: whatever is kept and in use, Free deletes what
// was used least recently until there is room, and never what is in use.
func TestFreeTakesWhatWasUsedLeast(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		dir := filepath.Join(parent, fmt.Sprint(round))
		r := &room{sizes: map[string]int64{}}
		o := options(dir)
		o.Capacity, o.FreeBytes = 100, r.free
		s, err := cache.Open(t.Context(), o)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := errors.Join(s.Close(context.Background()), os.RemoveAll(dir)); err != nil {
				rt.Error(err)
			}
		}()
		r.store = s
		used, end := stock(t, rt, s, dir)
		defer end()
		before := s.List()
		for _, e := range before {
			r.sizes[e.ID] = e.Bytes
			r.size += e.Bytes
		}
		need := rapid.Int64Range(0, r.size+1).Draw(rt, "need")
		if _, err := s.Free(t.Context(), dir, need); err != nil {
			rt.Fatal(err)
		}
		free, _ := r.free(dir)
		left := map[string]bool{}
		for _, e := range s.List() {
			left[e.ID] = true
		}
		// What is left is in use, or was used more recently than all that is gone.
		var spared int64
		gone := false
		for _, e := range before { // the most recently used first
			switch {
			case e.InUse && !left[e.ID]:
				rt.Errorf("%s is gone, which is in use", e.ID)
			case e.InUse:
			case !left[e.ID]:
				gone = true
			case gone:
				rt.Errorf("%s is left, and something that was used later is gone", e.ID)
			default:
				spared += e.Bytes
			}
		}
		if free < need && spared > 0 {
			rt.Errorf("%d bytes are free, not %d, and %d could go", free, need, spared)
		}
		if used != len(before)-len(freeOnes(before)) {
			rt.Errorf("%d are in use, not %d", len(before)-len(freeOnes(before)), used)
		}
	})
}

func freeOnes(all []shelf.Entry) []shelf.Entry {
	return slices.DeleteFunc(slices.Clone(all), func(e shelf.Entry) bool { return e.InUse })
}

// stock fills a store with things of all kinds, some of which stay in use until
// end.
func stock(t *testing.T, rt *rapid.T, s *cache.Store, dir string) (used int, end func()) {
	var ends []func()
	for i := range rapid.IntRange(0, 8).Draw(rt, "entries") {
		bytes := rapid.IntRange(1, 5000).Draw(rt, "bytes")
		inUse := rapid.Bool().Draw(rt, "in use")
		var release func()
		switch kind := rapid.SampledFrom([]string{"file", "tree", "cache"}).Draw(rt, "kind"); kind {
		case "cache":
			release = stockCache(t, rt, s, filepath.Join(dir, fmt.Sprint("task", i)), bytes)
		default:
			c, _, err := s.Content(t.Context(), cache.Key{Source: fmt.Sprint("artifact:x:", i), Kind: shelf.Kind(kind)}, cache.Want{}, func(_ context.Context, st *cache.Staging) (cache.Filling, error) {
				text := strings.Repeat("x", bytes)
				if st.Root != nil {
					return cache.Filling{}, st.Root.WriteFile("file", []byte(text), 0o600)
				}
				_, err := st.File.WriteString(text)
				return cache.Filling{}, err
			})
			if err != nil {
				rt.Fatal(err)
			}
			release = c.Close
		}
		if inUse {
			used++
			ends = append(ends, release)
		} else {
			release()
		}
	}
	return used, func() {
		for _, end := range ends {
			end()
		}
	}
}

// stockCache makes a writable cache and returns how to give it back.
func stockCache(t *testing.T, rt *rapid.T, s *cache.Store, dir string, bytes int) (release func()) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		rt.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		rt.Fatal(err)
	}
	w, err := s.Writable(t.Context(), dir)
	if err == nil {
		err = w.Place(t.Context(), root, dir, "cache")
	}
	if err == nil {
		err = root.WriteFile("cache/file", make([]byte, bytes), 0o600)
	}
	if err != nil {
		rt.Fatal(err)
	}
	return func() {
		if _, err := w.Keep(t.Context(), root, dir, "cache"); err != nil {
			rt.Error(err)
		}
		root.Close()
	}
}

func TestEntriesThatVanish(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options(dir)
	o.FreeBytes = func(string) (int64, error) { return 0, nil }
	s, err := cache.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var fills atomic.Int64
	keys := map[cache.Key]cache.Fill{fileKey: fillFile("hello", &fills), treeKey: fillTree(&fills)}
	for key, fill := range keys {
		c, _ := content(t, s, key, "", fill)
		c.Close()
	}
	j := newJob(t)
	keep(t, lease(t, s, "a", j), j)
	for _, sub := range []string{"caches/writable", "downloads/content"} {
		for _, name := range []string{"entries", "requests", ".trash"} {
			if err := os.RemoveAll(filepath.Join(dir, sub, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What is there is noticed only when it is wanted: then it is made again.
	for key := range maps.Keys(keys) {
		c, hit := content(t, s, key, "", keys[key])
		c.Close()
		if hit != cache.Filled {
			t.Errorf("the use of what vanished is %q", hit)
		}
	}
	if _, err := s.Free(t.Context(), dir, 1); err != nil {
		t.Error(err)
	}
	if all := s.List(); len(all) > 0 {
		t.Errorf("left is %+v", all)
	}
}

func TestFreeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if _, err := s.Free(ctx, t.TempDir(), 1); !errors.Is(err, reason) {
		t.Errorf("Free returned %v", err)
	}
}
