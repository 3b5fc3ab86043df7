package taskdir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

func TestWalk(t *testing.T) {
	t.Parallel()
	in := tree(t)
	for _, path := range []string{"out/b", "out/a/2", "out/a/1", "out/a.txt", "beside"} {
		in.write(t, path, "x")
	}
	in.link(t, "../beside", "out/link")
	in.link(t, in.Root.Name()+"/out", "out/a/loop")
	outside := t.TempDir()
	in.link(t, outside, "out/outside")
	for _, dir := range []string{"out", "./out/", in.Root.Name() + "/out"} {
		var got []string
		err := in.Walk(t.Context(), dir, func(e Entry) bool {
			text := in.Clean(e.Path) + " " + e.Name
			if e.Err != nil {
				text += " " + e.Err.Error()[:2]
			}
			got = append(got, text)
			return true
		})
		want := []string{"out/a/1 a/1", "out/a/2 a/2", "out/a/loop a/loop it", "out/a.txt a.txt", "out/b b", "out/link link", "out/outside outside ca"}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v%s", dir, err, diff)
		}
	}
	visits := 0
	if err := in.Walk(t.Context(), "out", func(Entry) bool { visits++; return false }); err != nil || visits != 1 {
		t.Errorf("visited %d entries after it was to stop: %v", visits, err)
	}
}

// A walk through what has nothing to visit ends as well.
func TestWalkEnds(t *testing.T) {
	t.Parallel()
	in := tree(t)
	in.write(t, "out/a/b/c", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	visit := func(e Entry) bool { t.Errorf("visited %s", e.Path); return true }
	if err := errors.Join(in.Walk(ctx, "out", visit), in.WalkTo(ctx, "out", 2, visit)); err != nil {
		t.Error(err)
	}
}

func TestWalkTo(t *testing.T) {
	t.Parallel()
	in := tree(t)
	for _, path := range []string{"out/b", "out/a/2", "out/a/c/d/1", "out/a.txt"} {
		in.write(t, path, "x")
	}
	in.link(t, "a", "out/link")
	for depth, want := range map[int][]string{
		0:            {"a.txt", "b"},
		1:            {"a/2", "a.txt", "b", "link it is a symbolic link to a directory, which is not followed"},
		-1:           {"a/2", "a/c/d/1", "a.txt", "b", "link it is a symbolic link to a directory, which is not followed"},
		maxDepth + 1: {"a/2", "a/c/d/1", "a.txt", "b", "link it is a symbolic link to a directory, which is not followed"},
	} {
		var got []string
		err := in.WalkTo(t.Context(), "out", depth, func(e Entry) bool {
			text := e.Name
			if e.Err != nil {
				text += " " + e.Err.Error()
			}
			if e.Dir != (e.Err != nil) {
				t.Errorf("%s is a directory: %v", text, e.Dir)
			}
			got = append(got, text)
			return true
		})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("to %d: %v%s", depth, err, diff)
		}
	}
}

// What may not be looked into is visited itself.
func TestWalkTellsWhatIsNotReadable(t *testing.T) {
	t.Parallel()
	in := tree(t)
	in.write(t, "out/a", "x")
	in.write(t, "out/closed/b", "x")
	closed := filepath.Join(in.Root.Name(), "out", "closed")
	err := errors.Join(os.Chmod(in.Root.Name(), 0o755), os.Chmod(filepath.Dir(closed), 0o755), os.Chmod(closed, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	var got []Entry
	asOrdinaryUser(t, func() {
		err = in.Walk(t.Context(), "out", func(e Entry) bool { got = append(got, e); return true })
	})
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	failure, ok := errors.AsType[*artifact.FileError](got[1].Err)
	if !ok || failure.Reason != artifact.Unreadable || !got[1].Dir || got[1].Name != "closed" {
		t.Errorf("got %+v", got[1])
	}
}

func TestWalkOutsideTheTree(t *testing.T) {
	t.Parallel()
	in := tree(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	visit := func(e Entry) bool { got = append(got, e.Name); return e.Err == nil }
	if err := in.Walk(t.Context(), outside, visit); err == nil || len(got) != 0 {
		t.Errorf("visited %v", got)
	}
	in.Absolute = true
	if err := in.Walk(t.Context(), outside, visit); err != nil || !cmp.Equal(got, []string{"file"}) {
		t.Errorf("visited %v: %v", got, err)
	}
}

func TestWalkEndsInTheDepth(t *testing.T) {
	t.Parallel()
	in := tree(t)
	in.write(t, "d"+strings.Repeat("/d", maxDepth+1)+"/file", "x")
	var errs []error
	if err := in.Walk(t.Context(), "d", func(e Entry) bool { errs = append(errs, e.Err); return true }); err != nil {
		t.Fatal(err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], ErrTooDeep) {
		t.Errorf("got %v", errs)
	}
}

// TestA5WalkUnderASwapper: a directory that becomes a link to one outside, and
// a directory again, leads outside in no moment.
func TestA5WalkUnderASwapper(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := tree(t)
	in.write(t, "out/dir/file", "inside")
	in.link(t, outside, "away")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		dir, away, aside := filepath.Join(in.Root.Name(), "out/dir"), filepath.Join(in.Root.Name(), "away"), filepath.Join(in.Root.Name(), "aside")
		for {
			select {
			case <-stop:
				return
			default:
				os.Rename(dir, aside)
				os.Rename(away, dir)
				os.Rename(dir, away)
				os.Rename(aside, dir)
			}
		}
	}()
	seen := map[string]int{}
	for range 5_000 {
		_ = in.WalkTo(t.Context(), "out", -1, func(e Entry) bool {
			seen[e.Name]++
			f, _, err := in.Open(e.Path)
			if err == nil {
				if got := content(t, f); got != "inside" {
					t.Errorf("read %q at %s", got, e.Path)
				}
			}
			return true
		})
	}
	close(stop)
	<-done
	if seen["dir/secret"] > 0 || seen["dir/file"] == 0 {
		t.Errorf("saw %v", seen)
	}
}
