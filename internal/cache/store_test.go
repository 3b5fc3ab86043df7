package cache_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
	"github.com/taskcluster/generic-worker/internal/filelock"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		workUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

// plenty is the free space of a disk that is never full.
func plenty(string) (int64, error) { return math.MaxInt64, nil }

// openStore opens the store in a directory; it is closed when the test ends.
func openStore(t *testing.T, dir string) *cache.Store {
	t.Helper()
	s, end := borrowStore(t, dir)
	t.Cleanup(end)
	return s
}

// borrowStore opens the store in a directory until end.
func borrowStore(t *testing.T, dir string) (s *cache.Store, end func()) {
	t.Helper()
	s, err := cache.Open(t.Context(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func options(dir string) cache.Options {
	return cache.Options{
		Dirs:     cache.Dirs{Caches: filepath.Join(dir, "caches"), Downloads: filepath.Join(dir, "downloads")},
		Capacity: 2, FreeBytes: plenty, Log: slog.New(slog.DiscardHandler),
	}
}

// job is a task's directory.
type job struct {
	t    *testing.T
	dir  string
	root *os.Root
}

func newJob(t *testing.T) job { return newJobIn(t, t.TempDir()) }

func newJobIn(t *testing.T, dir string) job {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return job{t, dir, root}
}

func (j job) write(path, text string) {
	j.t.Helper()
	path = filepath.Join(j.dir, path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		j.t.Fatal(err)
	}
}

// files returns what is below a directory, with the contents of files.
func (j job) files(path string) map[string]string {
	j.t.Helper()
	return files(j.t, filepath.Join(j.dir, path))
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if entry.Type()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			found[name] = "-> " + to
			return err
		}
		text, err := os.ReadFile(path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// lent tells which entries say on the disk that a task has them.
func lent(t *testing.T, dir string) (kinds []shelf.Kind) {
	t.Helper()
	all, err := cache.Look(options(dir).Dirs)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.InUse {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// fillFile makes a file of the text, and counts.
func fillFile(text string, count *atomic.Int64) cache.Fill {
	return func(_ context.Context, s *cache.Staging) (cache.Filling, error) {
		count.Add(1)
		_, err := s.File.WriteString(text)
		return cache.Filling{SHA256: hashOf(text), Bytes: int64(len(text))}, err
	}
}

// wood is what fillTree makes.
var wood = map[string]string{"bin/tool": "#!/bin/sh\n", "lib/a": "a", "lib/b": "b", "lib/link": "-> a"}

func fillTree(count *atomic.Int64) cache.Fill {
	return func(_ context.Context, s *cache.Staging) (cache.Filling, error) {
		count.Add(1)
		err := errors.Join(s.Root.Mkdir("bin", 0o755), s.Root.Mkdir("lib", 0o755))
		for name, text := range wood {
			if to, link := strings.CutPrefix(text, "-> "); link {
				err = errors.Join(err, s.Root.Symlink(to, name))
			} else {
				err = errors.Join(err, s.Root.WriteFile(name, []byte(text), 0o755))
			}
		}
		return cache.Filling{SHA256: hashOf("wood")}, err
	}
}

var (
	fileKey = cache.Key{Source: "urlcontent:https://me:hunter2@example.com/a.txt?token=hunter2", Kind: cache.File}
	treeKey = cache.Key{Source: "artifact:fN1SbArXTPSVFNUvaOlinQ:public/a.tar.gz", Kind: cache.Tree, Format: "tar.gz"}
)

// content gets what is kept or filled.
func content(t *testing.T, s *cache.Store, key cache.Key, want string, fill cache.Fill) (*cache.Content, cache.Hit) {
	t.Helper()
	c, hit, err := s.Content(t.Context(), key, cache.Want{SHA256: want}, fill)
	if err != nil {
		t.Fatal(err)
	}
	return c, hit
}

func TestFilesAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var fills atomic.Int64
	s, end := borrowStore(t, dir)
	j := newJob(t)
	for i, want := range []cache.Hit{cache.Filled, cache.Kept} {
		c, hit := content(t, s, fileKey, "", fillFile("hello", &fills))
		if hit != want || c.SHA256() != hashOf("hello") {
			t.Errorf("use %d is %q, %s", i, hit, c.SHA256())
		}
		if err := c.Place(t.Context(), j.root, j.dir, fmt.Sprintf("sub/dir%d/a.txt", i)); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	end()
	s = openStore(t, dir)
	c, hit := content(t, s, fileKey, hashOf("hello"), fillFile("hello", &fills))
	c.Close()
	if hit != cache.Kept || fills.Load() != 1 {
		t.Errorf("after a restart the use is %q; %d fills", hit, fills.Load())
	}
	made := filepath.Join(t.TempDir(), "made") // as any file that a program makes
	if err := os.WriteFile(made, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"sub/dir0/a.txt", "sub/dir1/a.txt"} {
		if got, want := modeOf(t, filepath.Join(j.dir, path)), modeOf(t, made); got != want {
			t.Errorf("%s has mode %v, not %v", path, got, want)
		}
	}
	want := map[string]string{"sub/dir0/a.txt": "hello", "sub/dir1/a.txt": "hello"}
	if diff := cmp.Diff(want, j.files(".")); diff != "" {
		t.Error(diff)
	}
	all := s.List()
	if len(all) != 1 || all[0].Uses != 3 || all[0].InUse || all[0].Name != "urlcontent:https://example.com/a.txt" {
		t.Errorf("the list is %+v", all)
	}
	for name, text := range files(t, dir) {
		if strings.Contains(name+text, "hunter2") {
			t.Errorf("%s holds a secret", name)
		}
	}
}

func TestFileThatChangedIsNotHanded(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"content": func(path string) error { return os.WriteFile(path, []byte("evil!"), 0o600) },
		"content, and the old time": func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, []byte("evil!"), 0o600), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"gone": os.Remove,
		"another file": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("evil!"), 0o600))
		},
		"touched":            func(path string) error { return os.Chtimes(path, time.Now(), time.Now()) },
		"a link to the same": func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/hostname", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, t.TempDir())
			var fills atomic.Int64
			c, _ := content(t, s, fileKey, "", fillFile("hello", &fills))
			path := c.Path()
			c.Close()
			time.Sleep(tree.Racy) // nothing is waited for: the clock of the file system has to go on
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			c, hit := content(t, s, fileKey, "", fillFile("hello", &fills))
			defer c.Close()
			if want := map[bool]cache.Hit{true: cache.Kept, false: cache.Filled}[name == "touched"]; hit != want {
				t.Errorf("the use is %q", hit)
			}
			if text, err := os.ReadFile(c.Path()); string(text) != "hello" {
				t.Errorf("the file is %q, %v", text, err)
			}
		})
	}
}

func TestWantedHash(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	var fills atomic.Int64
	c, _ := content(t, s, fileKey, "", fillFile("old", &fills))
	c.Close()
	c, hit := content(t, s, fileKey, hashOf("new"), fillFile("new", &fills))
	c.Close()
	if hit != cache.Filled || len(s.List()) != 1 {
		t.Errorf("another hash is %q, and there are %d entries", hit, len(s.List()))
	}
	_, _, err := s.Content(t.Context(), fileKey, cache.Want{SHA256: hashOf("newest")}, fillFile("new", &fills))
	if wrong, ok := errors.AsType[*cache.HashError](err); !ok || wrong.Got != hashOf("new") || len(s.List()) != 0 {
		t.Errorf("Content returned %v, and there are %d entries", err, len(s.List()))
	}
}

func TestFailedFillLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, fill := range map[string]cache.Fill{
		"error": func(_ context.Context, s *cache.Staging) (cache.Filling, error) {
			_, err := s.Root.Create("half")
			return cache.Filling{}, errors.Join(err, broken)
		},
		"panic": func(context.Context, *cache.Staging) (cache.Filling, error) { panic(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, end := borrowStore(t, dir)
			func() {
				defer func() { _ = recover() }()
				if _, _, err := s.Content(t.Context(), treeKey, cache.Want{}, fill); !errors.Is(err, broken) {
					t.Errorf("Content returned %v", err)
				}
			}()
			var fills atomic.Int64
			c, hit := content(t, s, treeKey, "", fillTree(&fills))
			c.Close()
			end()
			if hit != cache.Filled {
				t.Errorf("after a failure the use is %q", hit)
			}
			if left, err := os.ReadDir(filepath.Join(dir, "downloads/content/staging")); len(left) > 0 || err != nil {
				t.Errorf("left is %v, %v", left, err)
			}
		})
	}
}

func TestOneFillAtATime(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	var fills atomic.Int64
	var tasks sync.WaitGroup
	for range 16 {
		tasks.Go(func() {
			c, _, err := s.Content(t.Context(), fileKey, cache.Want{}, fillFile("hello", &fills))
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	tasks.Wait()
	if fills.Load() != 1 {
		t.Errorf("%d fills", fills.Load())
	}
}

func TestWaitingForAFillEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	reason := errors.New("enough")
	filling, goOn := make(chan struct{}), make(chan struct{})
	var tasks sync.WaitGroup
	tasks.Go(func() {
		_, _, err := s.Content(t.Context(), treeKey, cache.Want{}, func(context.Context, *cache.Staging) (cache.Filling, error) {
			close(filling)
			<-goOn
			return cache.Filling{}, reason
		})
		if !errors.Is(err, reason) {
			t.Errorf("the first got %v", err)
		}
	})
	<-filling
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if _, _, err := s.Content(ctx, treeKey, cache.Want{}, nil); !errors.Is(err, reason) {
		t.Errorf("the second got %v", err)
	}
	close(goOn)
	tasks.Wait()
}

func TestStoreIsForOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openStore(t, dir)
	_, err := cache.Open(t.Context(), options(dir))
	if held, ok := errors.AsType[*filelock.HeldError](err); !ok || held.Setting != "cachesDir" {
		t.Errorf("Open returned %v", err)
	}
}

type cacheEvent = shelf.Event

// cacheRequest asks for the content to be removed.
func cacheRequest(c *cache.Content) shelf.Request {
	return shelf.Request{What: filepath.Base(filepath.Dir(c.Path())), Reason: "removed by hand"}
}
