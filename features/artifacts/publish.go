package artifacts

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

const (
	// smallBelow is the size under which a file costs round trips rather than
	// bandwidth and memory, so that many can be under way at once.
	smallBelow   = 64 << 10
	smallUploads = 48
	largeUploads = 8
)

// publish uploads all items, several at once, and notes on each how it went.
func (p *publication) publish(ctx context.Context, items []*item) {
	small, large := make(chan *item), make(chan *item)
	var wg sync.WaitGroup
	work := func(queue <-chan *item) {
		for i := range queue {
			p.one(ctx, i)
		}
	}
	for range min(smallUploads, len(items)) {
		wg.Go(func() { work(small) })
	}
	for range min(largeUploads, len(items)) {
		wg.Go(func() { work(large) })
	}
	wg.Go(func() {
		defer close(large)
		for _, i := range items {
			if i.size >= smallBelow {
				large <- i
			}
		}
	})
	for _, i := range items {
		if i.size < smallBelow {
			small <- i
		}
	}
	close(small)
	wg.Wait()
}

// one publishes an item and decides what a failure means.
func (p *publication) one(ctx context.Context, i *item) {
	defer func() {
		if r := recover(); r != nil {
			i.err = fmt.Errorf("artifacts: internal error: %v", r)
			i.fatal = task.First(i.fatal, i.err)
			p.run.Operator.Error("publishing an artifact panicked", "artifact", i.name, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	i.err = i.found
	if i.err == nil && ctx.Err() == nil {
		i.record, i.err = p.upload(ctx, i)
	}
	switch {
	case ctx.Err() != nil && i.record.Name == "":
		i.err = context.Cause(ctx)
		i.fatal = task.First(i.fatal, i.err)
	case i.err != nil:
		p.explain(ctx, i)
		if !i.from.Optional {
			i.fatal = task.First(i.fatal, judge(i.name, i.err))
		}
	}
}

func (p *publication) upload(ctx context.Context, i *item) (artifact.Record, error) {
	file, _, err := p.tree.Open(i.path)
	if err != nil {
		return artifact.Record{}, err
	}
	defer file.Close()
	f := artifact.File{
		Name: i.name, ContentType: i.from.ContentType, ContentEncoding: i.from.ContentEncoding,
		Expires: p.expires(i), Content: file,
	}
	if f.ContentType == "" {
		f.ContentType = artifact.ContentType(i.path)
	}
	if f.ContentEncoding == "" {
		f.ContentEncoding = artifact.ContentEncoding(i.path)
	}
	p.run.Log.Info("Uploading artifact %s from file %s with content encoding %q, mime type %q and expiry %s",
		i.name, artifact.Printable(i.path), f.ContentEncoding, f.ContentType, stamp(f.Expires))
	return p.run.Artifacts.Publish(ctx, f)
}

// expires is when an artifact does: with the task if its entry does not say.
func (p *publication) expires(i *item) time.Time {
	if i.from.Expires.IsZero() {
		return time.Time(p.run.Definition.Expires)
	}
	return i.from.Expires
}

// explain tells the author, and whoever looks for the artifact, why it is not there.
func (p *publication) explain(ctx context.Context, i *item) {
	name := artifact.Printable(i.name)
	switch {
	case i.from.Optional && missing(i.err):
		p.run.Log.Info("Optional artifact %s is not there: %v", name, i.err)
		return
	case i.from.Optional:
		p.run.Log.Warn("Optional artifact %s is not published: %v", name, i.err)
	default:
		p.run.Log.Error("Artifact %s is not published: %v", name, i.err)
	}
	reason := artifact.Invalid
	failure, ok := errors.AsType[*artifact.FileError](i.err)
	switch {
	case ok:
		reason = failure.Reason
	case errors.Is(i.err, artifact.ErrChanged), errors.Is(i.err, artifact.ErrSpool):
	default:
		return // the queue or the storage would refuse this, too
	}
	if i.nameless || payload.CheckArtifactName(i.name) != nil {
		return // the directory of the task, or a pattern: no name for an artifact
	}
	// Of a file that was announced before it changed, the queue keeps what it knows.
	if err := p.run.Artifacts.PublishError(ctx, i.name, reason, i.err.Error(), p.expires(i)); err != nil {
		p.run.Operator.Warn("cannot publish why an artifact is missing", "artifact", i.name, "error", err)
	}
}

// missing tells whether the task did not leave the file. What the worker itself
// misses, such as a place for copies, is something else.
func missing(err error) bool {
	failure, ok := errors.AsType[*artifact.FileError](err)
	return ok && failure.Reason == artifact.Missing
}

// judge says who is to blame.
func judge(name string, err error) error {
	name = artifact.Printable(name)
	if _, ok := errors.AsType[*task.Error](err); ok {
		return err
	}
	if missing(err) {
		return task.Errorf(task.Failed, "artifact %s: %w; let the task create it, or mark it as optional in the payload", name, err)
	}
	so := task.InternalError
	_, file := errors.AsType[*artifact.FileError](err)
	_, storage := errors.AsType[*artifact.StorageError](err)
	switch {
	case file, errors.Is(err, artifact.ErrChanged):
		so = task.Failed
	case errors.Is(err, artifact.ErrContentType), errors.Is(err, artifact.ErrConflict):
		so = task.MalformedPayload
	case errors.Is(err, artifact.ErrMalformed), errors.Is(err, artifact.ErrUnauthorized):
		so = task.Failed
	case storage, errors.Is(err, artifact.ErrUnavailable), errors.Is(err, artifact.ErrSpool):
		so = task.ResourceUnavailable
	}
	return task.Errorf(so, "artifact %s: %w", name, err)
}
