package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/config"
)

// run runs `generic-worker cache` for a store in a directory.
func run(t *testing.T, dir string, args ...string) (said string, code int) {
	t.Helper()
	group := Group(func(string, bool) (*config.Config, error) { return &config.Config{Caches: dirsOf(dir)}, nil })
	var out bytes.Buffer
	group.SetOut(&out)
	group.SetErr(&out)
	group.SetArgs(args)
	group.SilenceUsage, group.SilenceErrors = true, true
	err := group.ExecuteContext(t.Context())
	if err != nil {
		out.WriteString(err.Error())
		code = exit.Usage
		if coded, ok := errors.AsType[*exit.Error](err); ok {
			code = coded.Code
		}
	}
	return out.String(), code
}

func dirsOf(dir string) cache.Dirs {
	return cache.Dirs{Caches: filepath.Join(dir, "caches"), Downloads: filepath.Join(dir, "downloads")}
}

// worker opens the store as a worker does.
func worker(t *testing.T, dir string) (s *cache.Store, end func()) {
	t.Helper()
	s, err := cache.Open(t.Context(), cache.Options{
		Dirs: dirsOf(dir), Capacity: 4, FreeBytes: func(string) (int64, error) { return math.MaxInt64, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// task uses a writable cache; the second function keeps it.
func task(t *testing.T, s *cache.Store, name string) (keep func() string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	w, err := s.Writable(t.Context(), name)
	if err == nil {
		err = w.Place(t.Context(), root, dir, "cache")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		purged, err := w.Keep(t.Context(), root, dir, "cache")
		if err != nil {
			t.Error(err)
		}
		return purged
	}
}

func list(t *testing.T, dir string) []shelf.Entry {
	t.Helper()
	text, code := run(t, dir, "ls", "--json")
	var all []shelf.Entry
	if err := json.Unmarshal([]byte(text), &all); err != nil || code != exit.Done {
		t.Fatalf("exit code %d, %v: %s", code, err, text)
	}
	return all
}

func TestWithoutAWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if all := list(t, dir); len(all) > 0 {
		t.Errorf("before any worker there is %+v", all)
	}
	for _, there := range []bool{false, true} {
		if said, code := run(t, dir, "purge", "a"); code != exit.Done || !strings.Contains(said, "deleted 0 of a") {
			t.Errorf("exit code %d: %s", code, said)
		}
		// Another user than the worker's may have given the command, so nothing is made.
		if left, err := os.ReadDir(dirsOf(dir).Caches); len(left) > 0 || there != (err == nil) {
			t.Errorf("cachesDir has %v, %v", left, err)
		}
		if err := os.MkdirAll(dirsOf(dir).Caches, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s, end := worker(t, dir)
	for _, name := range []string{"a", "b\n\x1b[31m", "c", "d"} {
		task(t, s, name)()
	}
	end()
	said, code := run(t, dir, "ls")
	if code != exit.Done || strings.Contains(said, "\x1b") || strings.Count(said, "\n") != 5 || !strings.Contains(said, `b\n`) {
		t.Errorf("exit code %d:\n%q", code, said)
	}
	for _, args := range [][]string{{"rm", "a"}, {"rm", list(t, dir)[0].ID}, {"purge", "c", "--before", "2999-01-31"}} {
		if said, code := run(t, dir, args...); code != exit.Done || !strings.HasPrefix(said, "deleted 1 of ") {
			t.Errorf("%q: exit code %d: %s", args, code, said)
		}
	}
	if said, code := run(t, dir, "purge", "b\n\x1b[31m", "--before", "2001-01-31T12:00:00Z"); code != exit.Done || !strings.HasPrefix(said, "deleted 0 of ") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if all := list(t, dir); len(all) != 1 || all[0].Name != "b\n\x1b[31m" {
		t.Errorf("left is %+v", all)
	}
	said, code = run(t, dir, "why", "a")
	for _, want := range []string{"made", "kept", "removed with cache rm", "nothing is kept"} {
		if code != exit.Done || !strings.Contains(said, want) {
			t.Errorf("exit code %d, not %s:\n%s", code, want, said)
		}
	}
}

func TestBesideAWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, end := worker(t, dir)
	defer end()
	task(t, s, "free")()
	keep := task(t, s, "used")
	all := list(t, dir)
	if len(all) != 2 || !all[0].InUse || all[0].Name != "used" || all[1].InUse {
		t.Errorf("the list is %+v", all)
	}
	for _, args := range [][]string{{"rm", "used"}, {"purge", "free"}} {
		if said, code := run(t, dir, args...); code != exit.Done || !strings.Contains(said, "deletes what matches") {
			t.Errorf("%q: exit code %d: %s", args, code, said)
		}
	}
	requests, err := filepath.Glob(filepath.Join(dirsOf(dir).Caches, "writable/requests/*"))
	if err != nil || len(requests) != 2 {
		t.Fatalf("left are %q, %v", requests, err)
	}
	for _, path := range requests {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o444 != 0o444 {
			t.Errorf("the worker, which may be another user, cannot read a request of mode %v, %v", info.Mode(), err)
		}
	}
	s.Obey(t.Context())
	if all := list(t, dir); len(all) != 1 || all[0].Name != "used" {
		t.Errorf("before the next task there is %+v", all)
	}
	if why := keep(); why != "removed with cache rm" {
		t.Errorf("purged because of %q", why)
	}
	if all := list(t, dir); len(all) > 0 {
		t.Errorf("left is %+v", all)
	}
	said, code := run(t, dir, "why", "used", "--json")
	var told struct {
		Entries []shelf.Entry
		Events  []shelf.Event
	}
	if err := json.Unmarshal([]byte(said), &told); err != nil || code != exit.Done || len(told.Events) != 2 || told.Events[1].Reason != "removed with cache rm" {
		t.Errorf("exit code %d, %v: %s", code, err, said)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"no such name":    {[]string{"rm", "none"}, `has the name or id "none"; generic-worker cache ls lists`},
		"nothing to tell": {[]string{"why", "none"}, `has the name or id "none"`},
		"no date":         {[]string{"purge", "a", "--before", "yesterday"}, `--before "yesterday" is not a date; write for example 2031-01-31`},
		"no name":         {[]string{"rm"}, "accepts 1 arg"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if said, code := run(t, dir, row.args...); code != exit.Usage || !strings.Contains(said, row.want) {
				t.Errorf("exit code %d: %s", code, said)
			}
		})
	}
}

func TestDirectoriesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "caches"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ls"}, {"purge", "a"}} {
		if said, code := run(t, dir, args...); code != exit.StatusUnread {
			t.Errorf("%q: exit code %d: %s", args, code, said)
		}
	}
}
