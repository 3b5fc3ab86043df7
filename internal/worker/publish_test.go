package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

// publish makes text an artifact of the run.
func publish(ctx context.Context, run *task.Run, name string, text []byte) error {
	path := filepath.Join(run.Dir, "published")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = run.Artifacts.Publish(ctx, artifact.File{
		Name: name, ContentType: "text/plain", ContentEncoding: "identity", Expires: time.Time(run.Definition.Expires), Content: file,
	})
	return err
}
