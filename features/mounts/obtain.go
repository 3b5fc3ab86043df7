package mounts

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/fetch"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/unpack"
)

// obtaining is how a mount comes by content that is not in the payload.
type obtaining struct {
	*visit
	*job
	from *source
	want string // the declared hash, or empty

	judged error // what is said about the content already
}

// content returns what the store keeps or is given now, and tells the log which
// of the two it was.
func (o *obtaining) content(ctx context.Context, key cache.Key) (*cache.Content, error) {
	kept := o.config.Store.Kept(key)
	told := false // by what the content was made from
	fill := func(ctx context.Context, to *cache.Staging) (cache.Filling, error) {
		if archive := key.Archive(); archive != key && (to.KeepArchive || o.config.Store.Kept(archive)) {
			told = true
			return o.fromArchive(ctx, key, to)
		}
		if kept {
			o.lines.info("Removing cache %s from cache table", o.from.shown)
		}
		return o.download(ctx, key, to)
	}
	content, hit, err := o.config.Store.Content(ctx, key, cache.Want{SHA256: o.want}, fill)
	if errors.Is(err, fetch.ErrChanged) { // once: it may be whole now
		content, hit, err = o.config.Store.Content(ctx, key, cache.Want{SHA256: o.want}, fill)
	}
	if err != nil {
		return nil, o.explain(ctx, err)
	}
	switch {
	case told:
	case hit == cache.Filled:
		o.verified(content)
	default:
		o.found(content)
	}
	return content, nil
}

// verified tells whether what was downloaded is what the task wants.
func (o *obtaining) verified(c *cache.Content) {
	if o.want == "" {
		o.lines.warn("Download %s of %s has SHA256 %s but task payload does not declare a required value, so content authenticity cannot be verified", c.Path(), o.from.title, c.SHA256())
		return
	}
	o.lines.info("Content from %s (%s) matches required SHA256 %s", o.from.title, c.Path(), c.SHA256())
}

// found tells the same about what was there.
func (o *obtaining) found(c *cache.Content) {
	if o.want == "" {
		o.lines.warn("No SHA256 specified in task mounts for %s - SHA256 from downloaded file %s is %s.", o.from.shown, c.Path(), c.SHA256())
		return
	}
	o.lines.info("Found existing download for %s (%s) with correct SHA256 %s", o.from.shown, c.Path(), c.SHA256())
}

// explain says why there is no content.
func (o *obtaining) explain(ctx context.Context, err error) error {
	if o.judged != nil && errors.Is(err, o.judged) {
		return o.judged
	}
	_, remote := errors.AsType[*fetch.Error](err)
	_, asked := errors.AsType[*task.Error](err)
	if remote || asked {
		o.judged = o.unreachable(ctx, o.job, err)
	} else {
		o.judged = o.broken(ctx, o.job, err)
	}
	return o.judged
}

// fromArchive fills content from its archive, which the store keeps as it was
// downloaded.
func (o *obtaining) fromArchive(ctx context.Context, key cache.Key, to *cache.Staging) (cache.Filling, error) {
	archive, err := o.content(ctx, key.Archive())
	if err != nil {
		return cache.Filling{}, err
	}
	defer archive.Close()
	file, err := archive.Open()
	if err != nil {
		return cache.Filling{}, err
	}
	defer file.Close()
	return cache.Filling{SHA256: archive.SHA256()}, o.unload(ctx, key, file, to)
}

// download fills content from where it comes from, in one pass.
func (o *obtaining) download(ctx context.Context, key cache.Key, to *cache.Staging) (cache.Filling, error) {
	path := to.Path()
	o.lines.info("Downloading %s to %s", o.from.title, path)
	p := &progress{log: o.run.Log, title: o.from.title, at: time.Now()}
	body, err := o.config.Client.Open(ctx, fetch.Request{Locate: o.from.locate, MaxBytes: o.config.MaxBytes, Progress: p.tell, Retrying: p.retry})
	if err != nil {
		return cache.Filling{}, err
	}
	defer body.Close()
	if key.Kind == cache.Tree && unpack.Seekable(key.Format) {
		err = o.spooled(ctx, key, body, to)
	} else {
		err = o.unload(ctx, key, body, to)
	}
	err = o.drain(body, err)
	if err != nil {
		return cache.Filling{}, err
	}
	o.lines.info("Downloaded %d bytes with SHA256 %s from %s to %s", body.Size(), body.SHA256(), o.from.title, path)
	if o.want != "" && body.SHA256() != o.want {
		return cache.Filling{}, o.mismatch(body.SHA256(), path)
	}
	return cache.Filling{SHA256: body.SHA256(), Bytes: body.Size()}, nil
}

// mismatch tells that the downloaded bytes are not the declared ones.
func (o *obtaining) mismatch(got, path string) error {
	o.lines.info("Removing cache %s from cache table", o.from.shown)
	o.lines.info("Deleting cache %s file(s) at %s", o.from.shown, path)
	o.judged = failed("Download %s of %s has SHA256 %s but task definition explicitly requires %s; not retrying download as there were no connection failures and HTTP response status code was 200"+
		" (mounts[%d])", path, o.from.title, got, o.want, o.index)
	return o.judged
}

// drainLimit is how much of a download is read on only to learn its hash.
const drainLimit = 64 << 20

// drain reads what an archive has behind its end, so that the hash is known. If
// the content is bad, a wrong hash says more about it than what was unpacked.
func (o *obtaining) drain(body *fetch.Body, err error) error {
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	if _, archives := errors.AsType[*unpack.Error](err); !archives || o.want == "" {
		return err
	}
	_, lost := io.CopyN(io.Discard, body, drainLimit)
	if got := body.SHA256(); errors.Is(lost, io.EOF) && got != "" && got != o.want {
		return nil // the caller compares
	}
	return err
}

// spooled fills a tree from an archive that cannot be read as a stream. One with
// the wrong hash is not unpacked.
func (o *obtaining) spooled(ctx context.Context, key cache.Key, body *fetch.Body, to *cache.Staging) error {
	spool, err := to.Spool()
	if err != nil {
		return err
	}
	if _, err := io.Copy(spool, body); err != nil {
		return err
	}
	if o.want != "" && body.SHA256() != o.want {
		return nil // the caller compares
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return o.unload(ctx, key, spool, to)
}

// unload puts content where it is kept: as it is, decompressed or unpacked.
func (o *obtaining) unload(ctx context.Context, key cache.Key, from io.Reader, to *cache.Staging) error {
	if key.Kind == cache.Tree {
		return o.unpack(ctx, o.job, from, to.Root)
	}
	return decompress(key.Format, from, to.File, o.config.Limits)
}

// decompress writes what from has, which is compressed unless the format is
// empty.
func decompress(format string, from io.Reader, to io.Writer, limits unpack.Limits) error {
	if format == "" {
		_, err := io.Copy(to, from)
		return err
	}
	plain, err := unpack.Decompress(format, from, limits)
	if err != nil {
		return err
	}
	defer plain.Close()
	_, err = io.Copy(to, plain)
	return err
}

// unpack unpacks the archive of a mount and tells what it left out.
func (v *visit) unpack(ctx context.Context, j *job, from io.Reader, into *os.Root) error {
	report, err := unpack.Archive(ctx, j.mount.Format, from, into, v.config.Limits)
	if len(report.Skipped) > 0 {
		j.lines.warn("Left out of %s: %s", title(j.mount.Content), strings.Join(report.Skipped, ", "))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
