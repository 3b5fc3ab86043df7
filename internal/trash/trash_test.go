package trash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts the trash of a directory.
func open(t *testing.T, dir string) (*Trash, *os.Root) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	bin := New(slog.New(slog.DiscardHandler), func() *os.Root { return root })
	bin.Start(t.Context())
	t.Cleanup(func() {
		if err := errors.Join(bin.Close(context.Background()), root.Close()); err != nil {
			t.Error(err)
		}
	})
	return bin, root
}

func TestSettleWaitsForWhatWasThrownAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin, root := open(t, dir)
	for round := range 20 {
		name := fmt.Sprint("tree", round)
		for i := range 50 {
			if err := root.MkdirAll(filepath.Join(name, fmt.Sprint(i), "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := Throw(root, name); err != nil {
			t.Fatal(err)
		}
		if err := bin.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, Name)); len(left) > 0 || err != nil {
			t.Fatalf("after Settle the trash holds %v, %v", left, err)
		}
	}
}

func TestSettleEndsWithItsContextAndWithTheTrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	bin := New(slog.New(slog.DiscardHandler), func() *os.Root { return root })
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if err := bin.Settle(ctx); !errors.Is(err, reason) {
		t.Errorf("before Start, Settle returned %v", err)
	}
	bin.Start(t.Context())
	if err := bin.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := bin.Settle(t.Context()); err != nil {
		t.Errorf("after Close, Settle returned %v", err)
	}
}

func BenchmarkTrash200kFiles(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			b.Fatal(err)
		}
		for i := range 200 {
			if err := root.MkdirAll(fmt.Sprint("x/", i), 0o700); err != nil {
				b.Fatal(err)
			}
			for j := range 1000 {
				file, err := root.Create(fmt.Sprint("x/", i, "/", j))
				if err != nil {
					b.Fatal(err)
				}
				file.Close()
			}
		}
		b.StartTimer()
		if err := newSweep(root).delete(b.Context(), "x"); err != nil {
			b.Fatal(err)
		}
		root.Close()
	}
}
