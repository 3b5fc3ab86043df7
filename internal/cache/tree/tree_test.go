package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// sample makes a tree with all that a tree can have.
func sample(t *testing.T, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	old := time.Date(2020, 1, 31, 12, 0, 0, 0, time.UTC)
	err := errors.Join(
		os.MkdirAll(at("sub/deeper"), 0o755), os.Mkdir(at("empty"), 0o700), os.Mkdir(at("shut"), 0o755),
		os.WriteFile(at("file"), []byte("hello"), 0o640), os.WriteFile(at("sub/tool"), []byte("#!/bin/sh\n"), 0o755),
		os.WriteFile(at("sub/none"), nil, 0o600), os.WriteFile(at("shut/file"), []byte("x"), 0o400),
		os.WriteFile(at("sub/large"), bytes.Repeat([]byte("0123456789abcdef"), 3<<16), 0o644),
		os.Link(at("file"), at("sub/deeper/same")),
		os.Symlink("../file", at("sub/link")), os.Symlink("/etc/passwd", at("absolute")), os.Symlink("nowhere", at("dangling")),
		os.WriteFile(at(strings.Repeat("n", 255)), []byte("long"), 0o600), os.WriteFile(at("new\nline \xff"), nil, 0o600),
		os.Chtimes(at("file"), old, old), os.Chtimes(at("sub"), old, old), os.Chmod(at("shut"), 0o500),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(at("shut"), 0o700) })
}

// describe says what is below a directory.
func describe(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	first := map[uint64]string{}
	err := walk(t.Context(), open(t, dir), func(e entry) error {
		what := fmt.Sprint(e.stat.Mode)
		path := filepath.Join(dir, filepath.FromSlash(e.path))
		switch e.stat.Mode.Type() {
		case fs.ModeSymlink:
			to, err := os.Readlink(path)
			found[e.path] = "link to " + to
			return err
		case 0:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %d bytes, %.20q", len(text), text)
			if e.stat.names > 1 {
				what += fmt.Sprintf(" %d names", e.stat.names)
				first[e.stat.Inode] = e.path
			}
		}
		found[e.path] = what + " " + time.Unix(0, e.stat.Modified).UTC().String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCopyIsTheSame(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	sample(t, from)
	if err := Copy(t.Context(), open(t, from), open(t, to), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(to, "shut"), 0o700) })
	if diff := cmp.Diff(describe(t, from), describe(t, to)); diff != "" {
		t.Error(diff)
	}
}

func TestManifestSurvivesWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sample(t, dir)
	m, err := List(t.Context(), open(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := m.Write(&text); err != nil {
		t.Fatal(err)
	}
	half := bytes.NewReader(text.Bytes()[:text.Len()/2])
	read, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(_ *os.Root, name string) error { return fmt.Errorf("%s was added", name) }
	if err := read.Check(t.Context(), open(t, dir), nothing); err != nil {
		t.Errorf("Check returned %v", err)
	}
	if _, err := Read(half); err == nil {
		t.Error("half a list was read")
	}
}

func TestCopyOfWhatChangesIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(dir string) error{
		"content": func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), []byte("HELLO"), 0o640) },
		"missing": func(dir string) error { return os.Remove(filepath.Join(dir, "file")) },
		"mode":    func(dir string) error { return os.Chmod(filepath.Join(dir, "file"), 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := t.TempDir(), t.TempDir()
			sample(t, from)
			m, err := List(t.Context(), open(t, from))
			if err == nil {
				time.Sleep(SettlesIn(m.Newest)) // as Place does
				err = change(from)
			}
			if err != nil {
				t.Fatal(err)
			}
			err = Copy(t.Context(), open(t, from), open(t, to), m)
			if _, ok := errors.AsType[*ChangedError](err); !ok {
				t.Errorf("Copy returned %v", err)
			}
		})
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := open(t, dir)
	at := func(path string) Place { return Place{Root: root, Dir: dir, Path: filepath.FromSlash(path)} }
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "a/tree/sub"), 0o755), os.MkdirAll(filepath.Join(dir, "b/full/x"), 0o755),
		os.Mkdir(filepath.Join(dir, "b/empty"), 0o755), os.WriteFile(filepath.Join(dir, "file"), nil, 0o600),
		os.Symlink("a", filepath.Join(dir, "link")),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"b/full", "file", "link", "b/empty"} {
		if err := Move(at("a/tree"), at(path)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("to %s, Move returned %v", path, err)
		}
	}
	for _, pair := range [][2]string{{"link/tree", "new"}, {"a/tree", "link/new"}, {"../x", "new"}, {"a/tree", "/tmp/new"}, {"a/tree", "."}, {"none", "new"}, {"a/tree", "none/new"}} {
		if err := Move(at(pair[0]), at(pair[1])); err == nil {
			t.Errorf("moved %s to %s", pair[0], pair[1])
		}
	}
	for path, free := range map[string]bool{"b/full": false, "file": false, "link": false, "b/empty": true, "c/d/new": true} {
		if err := at(path).Vacate(); free != (err == nil) || !free && !errors.Is(err, fs.ErrExist) {
			t.Errorf("Vacate(%s) returned %v", path, err)
		}
	}
	for _, path := range []string{"b/empty", "c/d/new"} {
		if err := errors.Join(Move(at("a/tree"), at(path)), Move(at(path), at("a/tree"))); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "a/tree/sub")); err != nil {
		t.Error(err)
	}
}

func TestTooDeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", deepest+2)), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := List(t.Context(), open(t, dir)); err == nil || !strings.Contains(err.Error(), "256 directories within each other") {
		t.Errorf("List returned %v", err)
	}
}

func TestWalksEndWithTheirContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sample(t, dir)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	root, to := open(t, dir), open(t, t.TempDir())
	_, list := List(ctx, root)
	_, tidy := Tidy(ctx, root)
	for name, err := range map[string]error{"List": list, "Tidy": tidy, "Copy": Copy(ctx, root, to, nil)} {
		if !errors.Is(err, reason) {
			t.Errorf("%s returned %v", name, err)
		}
	}
}

// BenchmarkCheck is what a warm tree of 20,000 files costs.
func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	for i := range 200 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range 100 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i), fmt.Sprint(j)), nil, 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	m, err := List(b.Context(), root)
	if err != nil {
		b.Fatal(err)
	}
	var text bytes.Buffer
	if err := m.Write(&text); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		read, err := Read(bytes.NewReader(text.Bytes()))
		if err == nil {
			err = read.Check(b.Context(), root, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// TestSettlesIn: a change within one tick of the clock could have the time of
// the one before it, so what was just changed has to wait, but never for long.
func TestSettlesIn(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second).Add(time.Microsecond)
	for name, row := range map[string]struct {
		changed    time.Time
		least, max time.Duration
	}{
		"long ago":      {now.Add(-time.Hour), 0, 0},
		"just now":      {now.Add(time.Second), Racy, Racy}, // whatever the machine does meanwhile
		"in the future": {now.Add(time.Hour), Racy, Racy},
		"whole seconds": {now.Add(time.Hour).Truncate(time.Second), coarse, coarse},
	} {
		if got := SettlesIn(row.changed.UnixNano()); got < row.least || got > row.max {
			t.Errorf("%s: %v, not between %v and %v", name, got, row.least, row.max)
		}
	}
}
