package mounts

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

// fetches is how many mounts of one run are fetched at the same time.
const fetches = 8

// visit is the mounts of one run.
type visit struct {
	*Feature
	run  *task.Run
	jobs []*job
}

// job is one mount on its way. Its lines aside, it belongs to who fetches it
// until done is closed, and to who puts it in place after that.
type job struct {
	index int
	mount payload.Mount
	place *place
	lines *lines
	after <-chan struct{} // closed when an earlier mount of the same content is fetched; may be nil
	done  chan struct{}

	content *cache.Content
	cache   *cache.Writable
	err     error

	placed  bool // cache or content is in the task
	made    bool // nothing was at the place before
	spoiled bool // the cache was filled in part
}

// prepare fetches all mounts and puts each in place when those before it are.
func (v *visit) prepare(ctx context.Context) error {
	if err := v.purge(ctx); err != nil {
		return err
	}
	if err := v.plan(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()
	room := make(chan struct{}, fetches)
	for _, j := range v.jobs {
		fetching.Go(func() { v.fetch(ctx, j, room) })
	}
	for _, j := range v.jobs {
		j.lines.begin()
		if err := v.finally(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// finally waits until a mount is fetched and puts it in place.
func (v *visit) finally(ctx context.Context, j *job) error {
	select {
	case <-j.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if j.err != nil {
		return j.err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return v.put(ctx, j)
}

// plan makes the jobs. What comes from the same source is fetched once, so
// later mounts wait for earlier ones.
func (v *visit) plan() error {
	earlier := map[string]chan struct{}{}
	for i, m := range v.run.Payload.Mounts {
		j := &job{index: i, mount: m, lines: &lines{log: v.run.Log}, done: make(chan struct{})}
		v.jobs = append(v.jobs, j)
		if c := m.Content; c != nil && c.Inline == nil {
			key := c.TaskID + "\n" + c.Namespace + "\n" + c.Artifact + "\n" + c.URL
			j.after = earlier[key]
			earlier[key] = j.done
		}
	}
	for i, j := range v.jobs {
		var err error
		if j.place, err = findPlace(v.run.Session, placeOf(j.mount), v.jobs[:i]); err != nil {
			return v.misplaced(j, err)
		}
	}
	return nil
}

// fetch does what of a job needs no place in the task.
func (v *visit) fetch(ctx context.Context, j *job, room chan struct{}) {
	defer close(j.done)
	defer func() {
		if p := recover(); p != nil {
			v.run.Operator.Error("fetching a mount panicked", "mount", j.index, "panic", p, "stack", string(debug.Stack()))
			j.err = fmt.Errorf("mounts: internal error: %v", p)
		}
	}()
	if j.after != nil {
		<-j.after // under the same context
	}
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		j.err = context.Cause(ctx)
		return
	}
	j.err = v.get(ctx, j)
}

// get takes the cache and the content of a mount from the store.
func (v *visit) get(ctx context.Context, j *job) error {
	m := j.mount
	key := cache.Key{Kind: cache.Tree, Format: m.Format}
	switch {
	case m.File != "":
		if err := j.overDirectory(); err != nil {
			return err
		}
		key.Kind = cache.File
	case m.CacheName != "":
		// A cache changes what was unpacked, so its archive is kept.
		key = cache.Key{Kind: cache.File}
		if err := v.takeCache(ctx, j); err != nil {
			return err
		}
		if !j.cache.Fresh() {
			return nil
		}
	}
	if m.Content == nil || m.Content.Inline != nil {
		return nil
	}
	from, err := v.source(ctx, m.Content)
	if err != nil {
		return v.unreachable(ctx, j, err)
	}
	key.Source = from.key
	o := &obtaining{visit: v, job: j, from: from, want: m.Content.SHA256}
	j.content, err = o.content(ctx, key)
	return err
}

func (v *visit) takeCache(ctx context.Context, j *job) error {
	var err error
	if j.cache, err = v.config.Store.Writable(ctx, j.mount.CacheName); err != nil {
		return v.broken(ctx, j, fmt.Errorf("cannot take cache %s from the store: %w", j.mount.CacheName, err))
	}
	if j.cache.Fresh() {
		j.lines.info("No existing writable directory cache '%s' - creating %s", j.mount.CacheName, j.cache.Path())
	}
	return nil
}
