package savedir

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

	"github.com/taskcluster/generic-worker/internal/artifact"
)

type texts map[string]string

func (s texts) OpenArtifact(_ context.Context, _ string, _ int, name string) (io.ReadCloser, error) {
	text, ok := s[name]
	if !ok {
		return nil, errors.New("not there")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func record(name, text string) artifact.Record {
	sum := sha256.Sum256([]byte(text))
	return artifact.Record{Name: name, StorageType: artifact.TypeS3, SHA256: hex.EncodeToString(sum[:])}
}

// TestWhatIsInTheWayStays: a directory where the file would be is not deleted.
func TestWhatIsInTheWayStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := filepath.Join(dir, "public", "a")
	if err := os.MkdirAll(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := (Dir{From: texts{"public/a": "text"}, TaskID: "task", Path: dir}).Save(t.Context(), record("public/a", "text")); err == nil {
		t.Error("saved as a directory")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

// TestSave: content arrives under its name, and only what was published; no
// name and no link leads out of the directory.
func TestSave(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		record artifact.Record
		fails  string
	}{
		"in a folder":      {record("public/a b/%C3%A4.txt", "text"), ""},
		"other content":    {record("public/x", "what was published"), "was published"},
		"not there":        {record("public/none", ""), "not there"},
		"parent directory": {record("../outside", "text"), "cannot save"},
		"through a link":   {record("link/outside", "text"), "cannot save"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dir := filepath.Join(parent, "artifacts")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(parent, filepath.Join(dir, "link"))); err != nil {
				t.Fatal(err)
			}
			from := texts{"public/a b/%C3%A4.txt": "text", "public/x": "something else", "../outside": "text", "link/outside": "text"}
			path, err := Dir{From: from, TaskID: "task", Path: dir}.Save(t.Context(), row.record)
			if row.fails != "" {
				if err == nil || !strings.Contains(err.Error(), row.fails) {
					t.Errorf("error %v, not %q", err, row.fails)
				}
				for _, path := range []string{"outside", "artifacts/public/x"} {
					if _, err := os.Stat(filepath.Join(parent, path)); err == nil {
						t.Errorf("%s is there", path)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "text" {
				t.Errorf("saved %q, %v", text, err)
			}
		})
	}
}
