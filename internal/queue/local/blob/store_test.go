package blob_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/taskcluster/generic-worker/internal/queue/local/blob"
)

func files(t *testing.T, dir string) (n int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := blob.New(dir)
	for _, content := range []string{"", "a", strings.Repeat("long", 1<<18)} {
		b, err := s.Write(t.Context(), iotest.OneByteReader(strings.NewReader(content)), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(content))
		if b.Length != int64(len(content)) || b.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%d bytes were stored as %+v", len(content), b)
		}
		f, err := s.Open(b.ID)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		f.Close()
		if err != nil || string(got) != content {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(content))
		}
		for range 2 {
			if err := s.Remove(b.ID); err != nil {
				t.Error(err)
			}
		}
	}
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// TestWriteFails checks that a write that fails leaves nothing behind.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := blob.New(dir)
	stopped, stop := context.WithCancelCause(t.Context())
	reason := errors.New("the caller left")
	stop(reason)
	broken := errors.New("broken")
	for name, row := range map[string]struct {
		ctx  context.Context //nolint:containedctx // a table's
		r    io.Reader
		want error
	}{
		"too short": {t.Context(), strings.NewReader("abc"), blob.ErrTruncated},
		"broken":    {t.Context(), iotest.ErrReader(broken), broken},
		"stopped":   {stopped, iotest.ErrReader(broken), reason},
	} {
		if b, err := s.Write(row.ctx, row.r, 4); !errors.Is(err, row.want) || b.ID != "" {
			t.Errorf("%s: %+v, %v; want %v", name, b, err, row.want)
		}
	}
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := blob.New(dir)
	var ids []string
	for range 3 {
		b, err := s.Write(t.Context(), strings.NewReader("x"), 1)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	if err := os.WriteFile(filepath.Join(dir, ids[0][:1], "cut-off.part"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(map[string]bool{ids[1]: true}); err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(ids[1])
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if n := files(t, dir); n != 1 {
		t.Errorf("%d files are left, want 1", n)
	}
}
