package mounts

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/unpack"
	"github.com/taskcluster/generic-worker/payload"
)

func TestAttach(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.visitor(t, writable("a", "one"), writable("b", "two"), tree("c", artifact("public/x.tar")))
	hooks, err := s.Attach(v.run)
	if diff := cmp.Diff([]string{"generic-worker:cache:one", "generic-worker:cache:two"}, hooks.Scopes); err != nil || diff != "" {
		t.Error(err, diff)
	}
	v.run.Definition.Dependencies = nil
	_, err = s.Attach(v.run)
	refused(t, err, task.MalformedPayload, `^\[mounts\] task.dependencies needs to include `+madeBy+` since one or more of its artifacts are mounted; add it, or remove mounts\[2\]$`)
	v = s.visitor(t, payload.Mount{Directory: "a", Format: "tar", Content: &payload.Content{Namespace: "x.y", Artifact: "public/x"}})
	v.run.Definition.Dependencies = nil
	if _, err := s.Attach(v.run); err != nil {
		t.Errorf("an indexed artifact needs no dependency: %v", err)
	}
	s.config.Absolute = false
	_, err = s.Attach(s.visitor(t, writable(filepath.ToSlash(t.TempDir())+"/a", "one")).run)
	refused(t, err, task.MalformedPayload, `^\[mounts\] mounts\[0\]: .* is outside the task directory, which this pool does not allow; name a path inside it$`)
	s.config.Absolute = true
	if hooks, err = s.Attach(s.visitor(t).run); err != nil || hooks.Finish != nil || len(hooks.Scopes) > 0 {
		t.Errorf("a task without mounts: %+v, %v", hooks, err)
	}
}

// TestWhoIsToBlame has everything that can go wrong with content.
func TestWhoIsToBlame(t *testing.T) {
	t.Parallel()
	packed := archive(t, map[string]string{"a": strings.Repeat("a", 5000)})
	for name, test := range map[string]struct {
		mount   payload.Mount
		so      task.Resolution
		pattern string
	}{
		"not there":    {tree("d", artifact("public/none")), task.Failed, `^\[mounts\] cannot download .*404.*; check the content of mounts\[0\]$`},
		"server error": {tree("d", &payload.Content{URL: "/503"}), task.IntermittentTask, `^\[mounts\] cannot download .*503.*; the task is retried \(mounts\[0\]\)$`},
		"no server":    {tree("d", &payload.Content{URL: "http://127.0.0.1:9/x"}), task.IntermittentTask, `127.0.0.1:9.*; the task is retried`},
		"wrong hash": {
			tree("d", &payload.Content{URL: "/tar", SHA256: hash(nil)}), task.Failed,
			`^\[mounts\] Download .* of url .*/tar has SHA256 ` + hash(packed) + ` but task definition explicitly requires ` + hash(nil) + `; not retrying`,
		},
		"wrong hash and no archive": {
			tree("d", &payload.Content{URL: "/text", SHA256: hash(nil)}), task.Failed, `has SHA256 ` + hash([]byte("no archive at all")),
		},
		"no archive": {tree("d", &payload.Content{URL: "/text"}), task.Failed, `^\[mounts\] cannot unarchive url .*/text as tar: .*; check content and format of mounts\[0\]$`},
		"half a zip": {payload.Mount{Directory: "d", Format: "zip", Content: &payload.Content{URL: "/text"}}, task.Failed, `cannot unarchive .* as zip`},
		"no gzip":    {payload.Mount{File: "f", Format: "gz", Content: &payload.Content{URL: "/text"}}, task.Failed, `^\[mounts\] cannot decompress .* as gz: `},
		"too long":   {payload.Mount{File: "f", Content: &payload.Content{URL: "/long"}}, task.Failed, `cannot download .*; check the content of mounts\[0\]`},
		"bad inline": {tree("d", &payload.Content{Inline: []byte("no archive")}), task.Failed, `^\[mounts\] cannot unarchive content of the payload as tar: `},
		"bad inline zip": {
			payload.Mount{Directory: "d", Format: "zip", Content: &payload.Content{Inline: []byte("no archive")}},
			task.Failed,
			`^\[mounts\] cannot unarchive content of the payload as zip: `,
		},
		"not indexed": {tree("d", &payload.Content{Namespace: "x.y", Artifact: "public/a"}), task.Failed, `^\[mounts\] nothing is indexed as x.y \(mounts\[0\]\)$`},
		"at .":        {payload.Mount{File: ".", Content: &payload.Content{Inline: []byte("x")}}, task.Failed, `^\[mounts\] cannot mount file at path .* since it already exists as a directory`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, func(c *Config) { c.MaxBytes = 20_000; c.Limits = unpack.Limits{Bytes: 100_000} })
			s.put("/tar", packed)
			s.put("/text", []byte("no archive at all"))
			s.put("/long", make([]byte, 30_000))
			if c := test.mount.Content; strings.HasPrefix(c.URL, "/") {
				c.URL = s.url + c.URL
			}
			v := s.visitor(t, test.mount)
			refused(t, v.mounted(t, nil), test.so, test.pattern)
			if left := files(t, v.dir); len(left) > 0 {
				t.Errorf("left in the task: %q", left)
			}
			if kept := s.config.Store.List(); len(kept) > 0 {
				t.Errorf("kept: %+v", kept)
			}
		})
	}
}

// TestM5AuthorisedOnEachUse asks with the task's credentials although the
// content is there.
func TestM5AuthorisedOnEachUse(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.put("/"+madeBy+"/private/a", []byte("for some"))
	mount := payload.Mount{File: "f", Content: artifact("private/a")}
	v := s.visitor(t, mount)
	if err := v.mounted(t, func() {
		if got := v.read(t, "f"); got != "for some" {
			t.Errorf("got %q", got)
		}
	}); err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.refuse = task.Errorf(task.Failed, "getArtifact: 403 InsufficientScopes: no") })
	v = s.visitor(t, mount)
	refused(t, v.mounted(t, nil), task.Failed, `^\[mounts\] getArtifact: 403 InsufficientScopes: no \(mounts\[0\]\)$`)
	if left := files(t, v.dir); len(left) > 0 {
		t.Errorf("it got %q", left)
	}
	s.set(func() { s.refuse = nil })
	if err := s.visitor(t, mount).mounted(t, nil); err != nil {
		t.Error(err)
	}
	if n := s.requests["/"+madeBy+"/private/a"]; n != 1 {
		t.Errorf("downloaded %d times", n)
	}
}

// TestContentThatChangesMeanwhile is downloaded once more, and never made of parts
// of both.
func TestContentThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	older, newer := bytes.Repeat([]byte("older"), 50_000), bytes.Repeat([]byte("newer"), 50_000)
	requests := 0 // one after the other
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests == 1 {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(older)))
			_, _ = w.Write(older[:len(older)/2])
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("ETag", `"2"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(newer))
	}))
	t.Cleanup(server.Close)
	v := newScene(t).visitor(t, payload.Mount{File: "f", Content: &payload.Content{URL: server.URL}})
	if err := v.mounted(t, func() {
		if v.read(t, "f") != string(newer) {
			t.Error("the file is another")
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestAbort ends a download at once, and nothing is in the task after it.
func TestAbort(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.visitor(t, writable("c", "cache"), tree("d", &payload.Content{URL: s.url + "/hang"}), payload.Mount{File: "f", Content: &payload.Content{Inline: []byte("x")}})
	hooks, err := s.Attach(v.run)
	if err != nil {
		t.Fatal(err)
	}
	ctx, abort := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	defer abort(nil)
	go func() {
		<-s.hung
		abort(stop)
	}()
	if err := hooks.Prepare(ctx); !errors.Is(err, stop) {
		t.Errorf("ended with %v", err)
	}
	if err := hooks.Finish(ctx, task.WorkerShutdown); err != nil {
		t.Error(err)
	}
	if left := files(t, v.dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if text := v.text(t); strings.Contains(text, "Purging") {
		t.Errorf("no command had the cache:\n%s", text)
	}
}

// TestLateFinish keeps the cache of a run whose own time is over: no command was
// stopped while it had it.
func TestLateFinish(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.visitor(t, writable("c", "cache"))
	hooks, err := s.Attach(v.run)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	if err := hooks.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	v.write(t, "c/x", "")
	end()
	if err := hooks.Finish(ctx, task.WorkerShutdown); err != nil {
		t.Error(err)
	}
	if kept := s.config.Store.List(); len(kept) != 1 || kept[0].InUse {
		t.Errorf("kept is %+v", kept)
	}
}

// TestInlineContentIsNowhereElse looks for it in the store and in the log.
func TestInlineContentIsNowhereElse(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	packed := archive(t, map[string]string{"a": "correct horse"})
	v := s.visitor(
		t,
		payload.Mount{File: "f", Content: &payload.Content{Inline: []byte("correct horse")}},
		tree("d", &payload.Content{Inline: packed}),
		payload.Mount{Directory: "c", CacheName: "c", Format: "tar", Content: &payload.Content{Inline: packed}},
	)
	if err := v.mounted(t, func() {
		for _, path := range []string{"f", "d/a", "c/a"} {
			if got := v.read(t, path); got != "correct horse" {
				t.Errorf("%s has %q", path, got)
			}
		}
		if err := os.Remove(filepath.Join(v.dir, "c", "a")); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(v.text(t), "horse") {
		t.Error("it is in the log")
	}
	for _, path := range files(t, s.dir) {
		if text, err := os.ReadFile(filepath.Join(s.dir, path)); err != nil || bytes.Contains(text, []byte("horse")) {
			t.Errorf("%s: %v, %q", path, err, text)
		}
	}
}

// TestInlineZip: a payload may contain an archive of a format that is no stream.
func TestInlineZip(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	file, err := w.Create("a/b")
	if err == nil {
		_, err = file.Write([]byte("hello"))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	content := &payload.Content{Inline: packed.Bytes()}
	cached := writable("cache", "one")
	cached.Format, cached.Content = "zip", content
	v := newScene(t).visitor(t, payload.Mount{Directory: "tree", Format: "zip", Content: content}, cached)
	err = v.mounted(t, func() {
		for _, path := range []string{"tree/a/b", "cache/a/b"} {
			if got := v.read(t, path); got != "hello" {
				t.Errorf("%s has %q", path, got)
			}
		}
		if left, err := filepath.Glob(filepath.Join(v.run.Dir, "mount-*")); err != nil || len(left) > 0 {
			t.Errorf("left is %v: %v", left, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLinksInACache puts files below a cache in which a task has left links.
func TestLinksInACache(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "victim"), []byte("safe"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := s.visitor(t, writable("c", "cache"))
	if err := v.mounted(t, func() {
		for name, target := range map[string]string{"dir": outside, "file": filepath.Join(outside, "victim"), "up": "../.."} {
			if err := os.Symlink(target, filepath.Join(v.dir, "c", name)); err != nil {
				t.Error(err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"c/dir/victim", "c/dir/new", "c/up/new"} {
		v = s.visitor(t, writable("c", "cache"), payload.Mount{File: path, Content: &payload.Content{Inline: []byte("evil")}})
		refused(t, v.mounted(t, nil), task.Failed, `mounts\[1\]`)
	}
	v = s.visitor(t, writable("c", "cache"), payload.Mount{File: "c/file", Content: &payload.Content{Inline: []byte("new")}})
	if err := v.mounted(t, func() {
		if got := v.read(t, "c/file"); got != "new" {
			t.Errorf("the file has %q", got)
		}
	}); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(outside, "victim")); err != nil || string(text) != "safe" || len(files(t, outside)) != 1 {
		t.Errorf("outside: %q, %v, %q", text, err, files(t, outside))
	}
}

// TestInsideACache keeps a cache without what was mounted into it.
func TestInsideACache(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	packed := archive(t, map[string]string{"a": "in the tree"})
	s.put("/tar", packed)
	v := s.visitor(
		t, writable("c", "cache"),
		payload.Mount{File: "c/f", Content: &payload.Content{Inline: []byte("x")}},
		tree("c/d", &payload.Content{URL: s.url + "/tar"}), tree("c/e", &payload.Content{Inline: packed}),
	)
	if err := v.mounted(t, func() { v.write(t, "c/own", "kept") }); err != nil {
		t.Fatal(err)
	}
	v = s.visitor(t, writable("c", "cache"))
	if err := v.mounted(t, func() {
		if diff := cmp.Diff([]string{"c/own"}, files(t, v.dir)); diff != "" {
			t.Errorf("what the next task finds: %s", diff)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestNothingElseIsKeptWithACache has mounts inside a cache that cannot be made,
// or are given up. What stayed of them would be in the way of the next task's.
func TestNothingElseIsKeptWithACache(t *testing.T) {
	t.Parallel()
	half := archive(t, map[string]string{"a": strings.Repeat("a", 5000)})[:3000]
	bad := &payload.Content{Inline: half}
	inner := writable("c/d/e", "inner")
	filled := payload.Mount{Directory: "c/d/e", CacheName: "inner", Format: "tar", Content: bad}
	for name, test := range map[string]struct {
		mount payload.Mount
		so    task.Resolution
	}{
		"purged meanwhile":      {inner, task.Completed},
		"filled in part":        {filled, task.Failed},
		"unpacked in part":      {tree("c/d/e", bad), task.Failed},
		"decompressed in part":  {payload.Mount{File: "c/d/e", Format: "gz", Content: &payload.Content{Inline: gzipped(t, 100_000)[:500]}}, task.Failed},
		"unpacked, then failed": {tree("c/d/e", &payload.Content{Inline: archive(t, map[string]string{"a": "a"})}), task.Completed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			v := s.visitor(t, writable("c", "outer"), test.mount)
			err := v.mounted(t, func() {
				v.write(t, "c/own", "kept")
				v.write(t, "c/d/e/added", "x")
				s.config.Store.Purge("inner", time.Now().Add(time.Hour), "purge request")
			})
			if task.ResolutionOf(err) != test.so {
				t.Errorf("resolved by %v", err)
			}
			v = s.visitor(t, writable("c", "outer"), inner)
			if err := v.mounted(t, func() {
				if got := files(t, v.dir); len(got) > 1 || len(got) == 1 && got[0] != "c/own" {
					t.Errorf("the next task finds %q", got)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// gzipped are so many bytes that do not shrink, compressed.
func gzipped(t testing.TB, n int) []byte {
	t.Helper()
	noise := make([]byte, n)
	rand.Read(noise)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(noise)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestOnePlace mounts archives and files over each other.
func TestOnePlace(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.put("/1", archive(t, map[string]string{"a": "1", "b": "1"}))
	s.put("/2", archive(t, map[string]string{"b": "2", "c/d": "2"}))
	for range 3 {
		v := s.visitor(
			t, tree("d", &payload.Content{URL: s.url + "/1"}), tree("d", &payload.Content{URL: s.url + "/2"}),
			tree(".", &payload.Content{URL: s.url + "/1"}),
			payload.Mount{File: "d/a", Content: &payload.Content{Inline: []byte("mine")}},
		)
		if err := v.mounted(t, func() {
			got := map[string]string{}
			for _, path := range files(t, v.dir) {
				got[path] = v.read(t, path)
			}
			if diff := cmp.Diff(map[string]string{"a": "1", "b": "1", "d/a": "mine", "d/b": "2", "d/c/d": "2"}, got); diff != "" {
				t.Error(diff)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if s.requests["/1"] != 2 { // a tree that mounts were put into is no use, but then its archive is kept
		t.Errorf("%v downloads", s.requests)
	}
	v := s.visitor(t, payload.Mount{File: "x", Content: &payload.Content{Inline: []byte("x")}}, tree("x", &payload.Content{URL: s.url + "/1"}))
	refused(t, v.mounted(t, nil), task.Failed, `^\[mounts\] cannot create directory .*x: a file is there; change the place of mounts\[1\]$`)
	v = s.visitor(t, payload.Mount{File: "x", Content: &payload.Content{Inline: []byte("x")}}, payload.Mount{File: "x/y", Content: &payload.Content{Inline: []byte("x")}})
	refused(t, v.mounted(t, nil), task.Failed, `^\[mounts\] cannot create directory .*x: .*; change the place of mounts\[1\]$`)
}

// TestTogether has a server that answers only when several mounts are asked for
// at the same time, and looks at the order of the lines.
func TestTogether(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var waiting sync.WaitGroup
	const n = 4
	waiting.Add(n)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waiting.Done()
		waiting.Wait()
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	t.Cleanup(server.Close)
	var mounts []payload.Mount
	var want []string
	for _, name := range []string{"0", "1", "2", "3"} {
		mounts = append(mounts, payload.Mount{File: name, Content: &payload.Content{URL: server.URL + "/" + name}})
		want = append(want, "Downloading "+name, "Downloaded "+name, "Download "+name, "Creating", "Copying "+name)
	}
	v := s.visitor(t, mounts...)
	if err := v.mounted(t, nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range regexp.MustCompile(`\[mounts\] (\w+)(?:.*url http\S*/(\d)\b|.*/(\d)\n)?`).FindAllStringSubmatch(v.text(t), -1) {
		got = append(got, strings.TrimSpace(line[1]+" "+line[2]+line[3]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, v.text(t))
	}
}

func TestPurgeRequests(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	counted := func(name string) int {
		n := 0
		v := s.visitor(t, writable("c", name))
		if err := v.mounted(t, func() {
			n = len(files(t, v.dir))
			v.write(t, "c/"+strings.Repeat("x", n+1), "")
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 2 {
		if n := counted("a") + counted("b"); n != 2*i {
			t.Errorf("%d files in round %d", n, i)
		}
	}
	s.set(func() {
		s.purges = map[string]time.Time{"a": time.Now().Add(-4 * time.Minute), "b": time.Now().Add(-6 * time.Minute)}
	})
	if n := counted("a"); n != 0 {
		t.Errorf("a was not purged, though clocks differ")
	}
	if n := counted("b"); n != 2 {
		t.Errorf("b has %d files, though it was made after the request", n)
	}
	s.set(func() { s.purges = nil; s.silent = true })
	if n := counted("b"); n != 3 {
		t.Errorf("without an answer b has %d files", n)
	}
	if !s.since[0].IsZero() || time.Since(s.since[1]) < 5*time.Minute || time.Since(s.since[1]) > 6*time.Minute {
		t.Errorf("asked for requests since %v", s.since)
	}
	s.config.PurgeAge = time.Nanosecond
	v := s.visitor(t, writable("c", "b"))
	if err := v.mounted(t, func() {
		if left := files(t, v.dir); len(left) > 0 {
			t.Errorf("an old cache was used: %q", left)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if text := v.text(t); !strings.Contains(text, "[mounts] Could not reach purgecache service to see if caches need purging:") ||
		!strings.Contains(text, "[mounts] no answer") || !strings.Contains(text, "so the task gets new caches") {
		t.Errorf("the log has:\n%s", text)
	}
}

// TestKeepUp asks for the sake of later tasks, but seldom.
func TestKeepUp(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	plain := func() {
		if err := s.visitor(t).mounted(t, nil); err != nil {
			t.Fatal(err)
		}
	}
	plain()
	if len(s.since) != 0 {
		t.Error("asked without having caches")
	}
	if err := s.visitor(t, writable("c", "c")).mounted(t, func() {}); err != nil {
		t.Fatal(err)
	}
	plain()
	if len(s.since) != 1 {
		t.Errorf("asked %d times", len(s.since))
	}
	s.tried = now().Add(-keepUpAfter)
	s.set(func() { s.silent = true })
	plain()
	plain()
	if len(s.since) != 2 {
		t.Errorf("asked %d times", len(s.since))
	}
}

// TestWhichCachesAreKept ends tasks in many ways.
func TestWhichCachesAreKept(t *testing.T) {
	t.Parallel()
	replace := func(v *visitor) {
		os.Rename(filepath.Join(v.dir, "c"), filepath.Join(v.dir, "moved"))
		v.write(t, "c", "")
	}
	for name, test := range map[string]struct {
		end    func(*visitor)
		kept   bool
		so     task.Resolution
		remark string
	}{
		"success":          {func(*visitor) {}, true, task.Completed, "Preserving cache: Moving"},
		"another code":     {func(v *visitor) { v.run.LastExit = 1 }, true, task.Completed, "Preserving"},
		"a purging code":   {func(v *visitor) { v.run.LastExit = 7 }, false, task.Completed, "exit code 7 which is listed in task.Payload.OnExitStatus.PurgeCaches"},
		"aborted":          {func(v *visitor) { v.run.LastExit = -1; v.run.Aborted = true }, false, task.Completed, "Purging caches since the task was aborted"},
		"never started":    {func(v *visitor) { v.run.LastExit = -1 }, true, task.Completed, "Preserving"},
		"moved":            {func(v *visitor) { os.Rename(filepath.Join(v.dir, "c"), filepath.Join(v.dir, "x")) }, false, task.Failed, "Could not unmount cache name due to: 'could not persist cache \"name\" due to "},
		"replaced":         {replace, false, task.Failed, "could not persist"},
		"purged meanwhile": {func(v *visitor) { v.config.Store.Purge("name", time.Now().Add(time.Hour), "purge request") }, false, task.Completed, "Removing cache name from cache table"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			v := s.visitor(t, writable("c", "name"))
			v.run.Payload.OnExitStatus.PurgeCaches = []int{7, 8}
			err := v.mounted(t, func() { v.write(t, "c/x", ""); test.end(v) })
			if task.ResolutionOf(err) != test.so {
				t.Errorf("resolved by %v", err)
			}
			if text := v.text(t); !strings.Contains(text, "[mounts] "+test.remark) && !strings.Contains(text, test.remark) {
				t.Errorf("no %q in\n%s", test.remark, text)
			}
			v = s.visitor(t, writable("c", "name"))
			if err := v.mounted(t, func() {
				if kept := len(files(t, v.dir)) > 0; kept != test.kept {
					t.Errorf("kept: %v", kept)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSeveralTasksAtOnce have the same mounts, while caches are purged and what
// is free is discarded. Each has all of its mounts, and its caches for itself.
func TestSeveralTasksAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.put("/tar", archive(t, map[string]string{"a": "in the tree", "b/c": "below"}))
	s.put("/file", []byte("a file"))
	var tasks sync.WaitGroup
	for slot := range 4 {
		var visitors []*visitor
		for range 8 {
			visitors = append(visitors, s.visitor(
				t, writable("c", "shared"), writable("c/d", "inner"), tree("tree", &payload.Content{URL: s.url + "/tar"}),
				tree("c/tree", &payload.Content{URL: s.url + "/tar"}), payload.Mount{File: "c/f", Content: &payload.Content{URL: s.url + "/file"}},
			))
		}
		tasks.Go(func() {
			for round, v := range visitors {
				if err := v.mounted(t, func() { usedAlone(t, v, fmt.Sprint(slot, " ", round)) }); err != nil {
					t.Error(err)
				}
				switch round % 4 {
				case 2:
					_, err := s.config.Store.Free(t.Context(), s.dir, 1<<62)
					if err != nil {
						t.Error(err)
					}
				case 3:
					s.config.Store.Purge("shared", time.Now(), "purge request")
				}
			}
		})
	}
	tasks.Wait()
	for _, e := range s.config.Store.List() {
		if e.InUse {
			t.Errorf("in the end, a task has %+v", e)
		}
	}
}

// usedAlone is a task of TestSeveralTasksAtOnce. It leaves its mark in its
// caches, and changes its tree now and then.
func usedAlone(t *testing.T, v *visitor, mark string) {
	t.Helper()
	for path, want := range map[string]string{"tree/a": "in the tree", "tree/b/c": "below", "c/tree/a": "in the tree", "c/f": "a file"} {
		if got := v.read(t, path); got != want {
			t.Errorf("%s has %q", path, got)
		}
	}
	for _, path := range []string{"c", "c/d"} {
		v.write(t, path+"/mark", mark)
	}
	if strings.HasSuffix(mark, "5") {
		v.write(t, "tree/a", "changed")
	}
	for _, path := range []string{"c", "c/d"} {
		if got := v.read(t, path+"/mark"); got != mark {
			t.Errorf("%s has the mark %q, not %q", path, got, mark)
		}
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		done, total int64
		rate        float64
		want        string
	}{
		{50 << 20, 200 << 20, 10 << 20, "50.0 of 200.0 MiB, 10.0 MiB/s, 15s left"},
		{50 << 20, -1, 1 << 19, "50.0 MiB, 0.5 MiB/s"},
		{0, 200 << 20, 0, "0.0 of 200.0 MiB, 0.0 MiB/s"},
	} {
		if got := pace(test.done, test.total, test.rate); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestProgress has a line every few seconds, and none for what is done.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.visitor(t)
	p := &progress{log: v.run.Log, title: "it", at: time.Now().Add(-5 * time.Second)}
	p.tell(50<<20, 200<<20)
	p.tell(60<<20, 200<<20)
	p.at = p.at.Add(-time.Minute)
	p.tell(200<<20, 200<<20)
	if got := strings.Count(v.text(t), "[mounts] Downloading it: 50.0 of 200.0 MiB, "); got != 1 || strings.Count(v.text(t), "\n") != 1 {
		t.Errorf("the log has:\n%s", v.text(t))
	}
}

// TestPurgeServiceThatHangs does not keep tasks for long, nor from the caches
// that are there, if the service has not answered since the worker started.
func TestPurgeServiceThatHangs(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *Config) { c.PurgeAge = time.Hour })
	s.wait = time.Millisecond
	s.config.Inputs = &hanging{s.deployment}
	for round := range 2 {
		v := s.visitor(t, writable("c", "c"))
		if err := v.mounted(t, func() {
			if had := len(files(t, v.dir)); had != round {
				t.Errorf("in round %d the cache has %d files", round, had)
			}
			v.write(t, "c/x", "")
		}); err != nil {
			t.Fatal(err)
		}
		if text := v.text(t); !strings.Contains(text, "Could not reach purgecache service") {
			t.Errorf("the log has:\n%s", text)
		}
	}
}

// hanging has a purge-cache service that does not answer.
type hanging struct{ *deployment }

func (*hanging) Purges(ctx context.Context, _ time.Time) (map[string]time.Time, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestInsideAnAbsoluteCache mounts things into a cache outside the task
// directory, and takes them out of it again.
func TestInsideAnAbsoluteCache(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *Config) { c.Absolute = true })
	s.put("/tar", archive(t, map[string]string{"x": "from the archive"}))
	at := filepath.Join(t.TempDir(), "made", "cache")
	for round := range 2 {
		v := s.visitor(
			t, writable(filepath.ToSlash(at), "c"), payload.Mount{File: filepath.ToSlash(at) + "/a/file", Content: &payload.Content{Inline: []byte("inline")}},
			tree(filepath.ToSlash(at)+"/b/tree", &payload.Content{URL: s.url + "/tar"}), writable(filepath.ToSlash(at)+"/d", "d"),
		)
		if err := v.mounted(t, func() {
			for name, want := range map[string]string{"a/file": "inline", "b/tree/x": "from the archive"} {
				if got, err := os.ReadFile(filepath.Join(at, name)); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
			for _, name := range []string{"own", "d/own"} {
				got, err := os.ReadFile(filepath.Join(at, name))
				if want := strings.Repeat("x", round); string(got) != want || err != nil && round > 0 {
					t.Errorf("%s in round %d: %q, %v", name, round, got, err)
				}
				if err := os.WriteFile(filepath.Join(at, name), append(got, 'x'), 0o600); err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		if left := files(t, filepath.Dir(at)); len(left) > 0 {
			t.Errorf("left outside the task directory: %q", left)
		}
		if left := files(t, s.config.Store.Dirs().Caches); strings.Contains(strings.Join(left, " "), "a/file") {
			t.Errorf("kept with the cache: %q", left)
		}
	}
	if n := s.requests["/tar"]; n != 1 {
		t.Errorf("the archive was downloaded %d times", n)
	}
}

// TestTreeOutsideTheTask stays where it was put, as a copy: what is kept serves
// the next task.
func TestTreeOutsideTheTask(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.put("/tar", archive(t, map[string]string{"x": "from the archive"}))
	at := filepath.Join(t.TempDir(), "made", "tree")
	for range 2 {
		if err := s.visitor(t, tree(filepath.ToSlash(at), &payload.Content{URL: s.url + "/tar"})).mounted(t, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"x"}, files(t, at)); diff != "" {
			t.Error(diff)
		}
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.requests["/tar"]; n != 1 {
		t.Errorf("the archive was downloaded %d times", n)
	}
}

func TestSecretsInURLs(t *testing.T) {
	t.Parallel()
	for _, shape := range []string{"https://example.com/x?token=%s", "https://example.com/x?%s#y", "https://example.com/x#%s"} {
		a, b := urlSource(fmt.Sprintf(shape, "secret")), urlSource(fmt.Sprintf(shape, "other"))
		if a.key == b.key || a.title != "url https://example.com/x" || a.shown != "urlcontent:https://example.com/x" {
			t.Errorf("%+v, %+v", a, b)
		}
	}
}
