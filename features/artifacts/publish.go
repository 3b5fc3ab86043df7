package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

const (
	// smallBelow is the size under which a file costs round trips rather than
	// bandwidth and memory, so that many can be under way at once.
	smallBelow   = 64 << 10
	smallUploads = 48
	largeUploads = 8

	maxRows = 100 // of the summary
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
			i.fatal = task.First(i.fatal, fmt.Errorf("artifacts: internal error: %v", r))
			p.run.Operator.Error("publishing an artifact panicked", "artifact", i.name, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	if ctx.Err() != nil {
		i.fatal = task.First(i.fatal, context.Cause(ctx))
		return
	}
	err := i.found
	if err == nil {
		err = p.upload(ctx, i)
	}
	if err == nil {
		return
	}
	if ctx.Err() != nil {
		i.fatal = task.First(i.fatal, context.Cause(ctx))
		return
	}
	p.explain(ctx, i, err)
	if i.from.Optional {
		return
	}
	i.fatal = task.First(i.fatal, judge(i.name, err))
}

func (p *publication) upload(ctx context.Context, i *item) error {
	file, _, err := p.tree.Open(i.path)
	if err != nil {
		return err
	}
	defer file.Close()
	f := artifact.File{
		Name: i.name, ContentType: i.from.ContentType, ContentEncoding: i.from.ContentEncoding,
		Expires: i.expires, Content: file,
	}
	if f.ContentType == "" {
		f.ContentType = artifact.ContentType(i.path)
	}
	if f.ContentEncoding == "" {
		f.ContentEncoding = artifact.ContentEncoding(i.path)
	}
	p.run.Log.Info("Uploading artifact %s from file %s with content encoding %q, mime type %q and expiry %s",
		i.name, i.path, f.ContentEncoding, f.ContentType, stamp(i.expires))
	i.record, err = p.run.Artifacts.Publish(ctx, f)
	return err
}

// explain tells the author, and whoever looks for the artifact, why it is not there.
func (p *publication) explain(ctx context.Context, i *item, err error) {
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case i.from.Optional && missing:
		p.run.Log.Info("Optional artifact %s is not there: %v", i.name, err)
		return
	case i.from.Optional:
		p.run.Log.Warn("Optional artifact %s is not published: %v", i.name, err)
	default:
		p.run.Log.Error("Artifact %s is not published: %v", i.name, err)
	}
	reason := artifact.Invalid
	failure, ok := errors.AsType[*artifact.FileError](err)
	switch {
	case ok:
		reason = failure.Reason
	case errors.Is(err, artifact.ErrChanged), errors.Is(err, artifact.ErrSpool):
	default:
		return // the queue or the storage would refuse this, too
	}
	// Of a file that was announced before it changed, the queue keeps what it knows.
	if perr := p.run.Artifacts.PublishError(ctx, i.name, reason, err.Error(), i.expires); perr != nil {
		p.run.Operator.Warn("cannot publish why an artifact is missing", "artifact", i.name, "error", perr)
	}
}

// judge says who is to blame.
func judge(name string, err error) error {
	if _, ok := errors.AsType[*task.Error](err); ok {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
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

// summary shows the author what was published.
func (p *publication) summary(items []*item, took time.Duration) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "artifact\tbytes\tstored\tsha256\tseconds\tattempts")
	var published int
	var bytes int64
	for _, i := range items {
		if i.record.Name == "" {
			continue
		}
		published++
		bytes += i.record.Bytes
		if published <= maxRows {
			fmt.Fprintf(w, "%s\t%d\t%d\t%.12s\t%.2f\t%d\n", i.name, i.record.Bytes, i.record.Stored, i.record.SHA256, i.record.Elapsed.Seconds(), i.record.Attempts)
		}
	}
	if published == 0 {
		return
	}
	w.Flush()
	if published > maxRows {
		fmt.Fprintf(&table, "... and %d more\n", published-maxRows)
	}
	p.run.Log.Info("Published %s, %s, in %.2f seconds:\n%s", count(published, "artifact"), count(bytes, "byte"), took.Seconds(), table.String())
}

// count puts a number before a noun.
func count[N int | int64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprint(n, " ", noun)
}

// stamp writes a time as the queue does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
