package task

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

// Publish uploads what is no file yet, by way of one in the run's directory. f
// says everything but the content; without a date the artifact expires with the
// task. An error means that the worker's surroundings are to blame; under a done
// ctx it is its cause.
func (r *Run) Publish(ctx context.Context, f artifact.File, content io.Reader) (artifact.Record, error) {
	spool, err := os.CreateTemp(r.Dir, "publish-")
	if err != nil {
		return artifact.Record{}, unpublished(f.Name, err)
	}
	defer func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name()) // goes with the run's directory
	}()
	if _, err := io.Copy(spool, content); err != nil {
		return artifact.Record{}, unpublished(f.Name, err)
	}
	f.Content = spool
	if f.Expires.IsZero() {
		f.Expires = time.Time(r.Definition.Expires)
	}
	record, err := r.Artifacts.Publish(ctx, f)
	if err != nil && ctx.Err() != nil {
		return artifact.Record{}, context.Cause(ctx)
	}
	if err != nil {
		return artifact.Record{}, unpublished(f.Name, err)
	}
	return record, nil
}

func unpublished(name string, err error) error {
	return Errorf(ResourceUnavailable, "cannot publish %s, without which the task must not complete: %w", name, err)
}
