// Package backinglog publishes the task's whole log, compressed while the task
// runs, so that little is left to do when it ends.
package backinglog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

const (
	contentType = "text/plain; charset=utf-8"
	spoolName   = "backing.log.gz"
)

// Feature is backingLog. Use New.
type Feature struct {
	encoders *encoders
}

// New returns the feature.
func New() *Feature { return &Feature{encoders: newEncoders()} }

// Name returns "backingLog".
func (f *Feature) Name() string { return "backingLog" }

// Attach reserves the name of the log. A run whose payload could not be parsed
// has to have the default features and names, and gets its log, too.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	if !run.Payload.Features.BackingLog {
		return features.Hooks{}, nil
	}
	b := &backing{run: run, encoders: f.encoders, name: run.Payload.Logs.Backing}
	return features.Hooks{
		Reserves: []string{b.name},
		Prepare:  b.prepare,
		Seal:     b.seal,
		Close:    b.close,
	}, nil
}

// backing is the log of one run.
type backing struct {
	run      *task.Run
	encoders *encoders
	name     string

	// What follows the log while it grows; done is nil unless it was started.
	stop context.CancelCauseFunc
	done chan struct{}

	// The copy, to be used after done is closed.
	spool   *os.File
	encoded artifact.Encoded
	err     error
}

// errStopped ends a copy that nobody will publish.
var errStopped = errors.New("the log is not needed any more")

// prepare starts to compress the log. An abort of the task does not end this:
// also an aborted task has a log. Without room for the copy, seal tries again.
func (b *backing) prepare(ctx context.Context) error {
	if b.spool, b.err = createSpool(b.run.Dir); b.err != nil {
		return nil
	}
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	log, err := b.run.Log.Follow(ctx, 0)
	if err != nil {
		stop(nil)
		return err
	}
	b.stop, b.done = stop, make(chan struct{})
	go func() {
		defer close(b.done)
		defer log.Close()
		defer func() {
			if cause := recover(); cause != nil {
				b.err = fmt.Errorf("cannot compress the log: panic: %v", cause)
			}
		}()
		b.encoded, b.err = b.encoders.compress(b.spool, log)
	}()
	return nil
}

func createSpool(dir string) (*os.File, error) {
	spool, err := os.OpenFile(filepath.Join(dir, spoolName), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot make room for the compressed log: %w", err)
	}
	return spool, nil
}

// seal publishes the log. A log with a hole or an end missing is published as
// far as there is one, but does not pass for complete.
func (b *backing) seal(ctx context.Context) error {
	err := b.complete(ctx)
	if err == nil || isCut(err) {
		err = task.First(b.publish(ctx), err)
	}
	if err != nil {
		return b.failed(ctx, err)
	}
	if lost := b.run.Log.Err(); lost != nil {
		return task.Errorf(task.ResourceUnavailable,
			"part of the task's log is missing, because the worker's disk took no more of it: %w; print less, or use a worker with more free space", lost)
	}
	return nil
}

// failed says that the worker's surroundings are to blame, unless time is up.
func (b *backing) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return task.Errorf(task.ResourceUnavailable, "cannot publish the task's log %s: %w", b.name, err)
}

// complete waits for the copy of the closed log. If there is none, because
// nothing was prepared or the disk was full, it makes one now: task's files may
// be gone, and the system's directory for temporary files may be elsewhere.
func (b *backing) complete(ctx context.Context) error {
	if b.done != nil {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if b.done != nil && b.err == nil || isCut(b.err) {
		return b.err
	}
	b.discard()
	if b.again(ctx, b.run.Dir); b.err == nil || isCut(b.err) {
		return b.err
	}
	first := b.err
	b.discard()
	dir, err := os.MkdirTemp("", "generic-worker-log-")
	if err != nil {
		return errors.Join(first, err)
	}
	if b.again(ctx, dir); b.err == nil || isCut(b.err) {
		return b.err
	}
	b.discard()
	_ = os.Remove(dir)
	return errors.Join(first, b.err)
}

// again compresses the log from its first byte into dir.
func (b *backing) again(ctx context.Context, dir string) {
	log, err := b.run.Log.Follow(ctx, 0)
	if err != nil {
		b.err = err
		return
	}
	defer log.Close()
	if b.spool, b.err = createSpool(dir); b.err == nil {
		b.encoded, b.err = b.encoders.compress(b.spool, log)
	}
}

func (b *backing) publish(ctx context.Context) error {
	_, err := b.run.Artifacts.Publish(ctx, artifact.File{
		Name:            b.name,
		ContentType:     contentType,
		ContentEncoding: artifact.Gzip,
		Expires:         time.Time(b.run.Definition.Expires),
		Content:         b.spool,
		Encoded:         &b.encoded,
	})
	return err
}

// close ends a copy that was not sealed and deletes it.
func (b *backing) close(context.Context) error {
	if b.done != nil {
		b.stop(errStopped)
		<-b.done
	}
	b.discard()
	return nil
}

// discard deletes the copy, and its directory if that is only for it. Whoever
// deletes the run's directory takes with it what cannot be deleted here.
func (b *backing) discard() {
	if b.spool == nil {
		return
	}
	_ = b.spool.Close()
	_ = os.Remove(b.spool.Name())
	if dir := filepath.Dir(b.spool.Name()); dir != filepath.Clean(b.run.Dir) {
		_ = os.Remove(dir)
	}
	b.spool = nil
}
