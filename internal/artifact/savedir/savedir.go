// Package savedir saves the artifacts of a run in a directory, under their
// names and only if they are what was published.
package savedir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

// Source is where published artifacts are read from; *queue.Client is one.
type Source interface {
	// OpenArtifact returns the content of an artifact, decoded.
	OpenArtifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error)
}

// Dir is where the artifacts of one run are saved.
type Dir struct {
	From   Source
	TaskID string
	RunID  int
	Path   string // made if need be
}

// SaveAll saves those of the records that have content. For each record it
// returns the path of the file, or "".
func (d Dir) SaveAll(ctx context.Context, records []artifact.Record) ([]string, error) {
	paths := make([]string, len(records))
	for i, record := range records {
		if record.StorageType != artifact.TypeS3 && record.StorageType != artifact.TypeObject {
			continue
		}
		var err error
		if paths[i], err = d.Save(ctx, record); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// Save writes the content of an artifact below Path, under its name, and
// returns the path of the file. No name leads out of Path. Content that is not
// what was published is an error, of which no file is left, and so is an artifact
// without content.
func (d Dir) Save(ctx context.Context, record artifact.Record) (string, error) {
	if err := os.MkdirAll(d.Path, 0o777); err != nil {
		return "", fmt.Errorf("cannot save artifact %s: %w", record.Name, err)
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return "", fmt.Errorf("cannot save artifact %s: %w", record.Name, err)
	}
	defer root.Close()
	content, err := d.From.OpenArtifact(ctx, d.TaskID, d.RunID, record.Name)
	if err != nil {
		return "", fmt.Errorf("cannot read artifact %s: %w", record.Name, err)
	}
	defer content.Close()
	name := filepath.FromSlash(path.Clean(record.Name))
	if err := write(root, name, content, record.SHA256); err != nil {
		return "", fmt.Errorf("cannot save artifact %s: %w", record.Name, err)
	}
	return filepath.Join(d.Path, name), nil
}

// write writes a file below root, whose content must have the hash.
func write(root *os.Root, name string, content io.Reader, published string) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	file, err := root.Create(name)
	if err != nil {
		return err // what is there is not ours
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), content)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); err == nil && sum != published {
		err = fmt.Errorf("its sha256 is %s, but %s was published", sum, published)
	}
	if err != nil {
		_ = root.Remove(name) // nobody may take it for what was published
	}
	return err
}
