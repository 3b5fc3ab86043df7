package mounts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

const (
	drift     = 5 * time.Minute  // by which clocks may differ
	purgeWait = 30 * time.Second // for an answer of the purge-cache service
	// keepUpAfter is how old the last answer may be. The service forgets a
	// request after a day.
	keepUpAfter = 6 * time.Hour
)

// purge asks which caches are to be purged, if the task has some. Without an
// answer they are used all the same, for as long as the operator allows.
func (v *visit) purge(ctx context.Context) error {
	mounts := v.run.Payload.Mounts
	if !slices.ContainsFunc(mounts, func(m payload.Mount) bool { return m.CacheName != "" }) {
		return v.keepUp(ctx, v.run)
	}
	err := v.ask(ctx, v.run)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	v.run.Log.Warn("[mounts] Could not reach purgecache service to see if caches need purging:\n[mounts] %v", err)
	age := time.Since(v.answered())
	if v.config.PurgeAge == 0 || age < v.config.PurgeAge {
		return nil
	}
	v.run.Log.Warn("[mounts] The service has not answered for %v, so the task gets new caches", age.Round(time.Second))
	for _, m := range mounts {
		if m.CacheName != "" {
			v.evict(v.run, m.CacheName, time.Now(), "no answer of the purge-cache service")
		}
	}
	return nil
}

// keepUp asks now and then for the sake of later tasks, so that no request is
// forgotten before it was heard. This task does not depend on the answer.
func (f *Feature) keepUp(ctx context.Context, run *task.Run) error {
	if time.Since(f.heard()) < keepUpAfter || !f.hasCaches() {
		return nil
	}
	if err := f.ask(ctx, run); err != nil && ctx.Err() == nil {
		run.Operator.Warn("cannot ask which caches to purge", "error", err)
	}
	return nil
}

// hasCaches tells whether the store has writable caches.
func (f *Feature) hasCaches() bool {
	for _, entry := range f.config.Store.List() {
		if entry.Kind == cache.Cache {
			return true
		}
	}
	return false
}

// ask purges what the service names. What was requested shortly before the last
// answer is looked at again, as clocks differ.
func (f *Feature) ask(ctx context.Context, run *task.Run) error {
	f.mu.Lock()
	since := f.asked
	f.tried = now()
	f.mu.Unlock()
	if !since.IsZero() {
		since = since.Add(-drift)
	}
	begun := now()
	ctx, cancel := context.WithTimeoutCause(ctx, f.wait, fmt.Errorf("no answer within %v", f.wait))
	defer cancel()
	requests, err := f.config.Inputs.Purges(ctx, since)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if begun.After(f.asked) {
		f.asked = begun
	}
	f.mu.Unlock()
	for name, before := range requests {
		f.evict(run, name, before.Add(drift), "purge request")
	}
	return nil
}

// evict purges the caches of a name that were made before a time.
func (f *Feature) evict(run *task.Run, name string, before time.Time, reason string) {
	dropped, deferred := f.config.Store.Purge(name, before, reason)
	for range dropped {
		run.Log.Info("[mounts] Removing cache %s from cache table (%s)", name, reason)
	}
	for range deferred {
		run.Log.Info("[mounts] Marking in-use cache %s for deferred purge", name)
	}
}

// answered is when the service answered last, or else when the worker started.
func (f *Feature) answered() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked.IsZero() {
		return f.begun
	}
	return f.asked
}

// heard is when the service was asked last.
func (f *Feature) heard() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tried
}

// now is the time of the wall, which goes on while the machine sleeps.
func now() time.Time { return time.Now().Round(0) }
