package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/task"
)

// givingBack bounds how long mounts are given back after the run's own time is
// over. It takes renames, unless the store is on another file system.
const givingBack = time.Minute

// finish takes caches and directories back from the task, those inside others
// first. The first error decides, but each has its turn.
func (v *visit) finish(ctx context.Context, _ task.Resolution) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), givingBack)
		defer cancel()
	}
	purge := v.purging()
	var first error
	for _, j := range slices.Backward(v.jobs) {
		first = task.First(first, v.giveBack(ctx, j, purge))
	}
	for _, j := range v.jobs {
		if j.place != nil {
			if err := j.place.close(); err != nil {
				v.run.Operator.Warn("cannot close the directory of a mount", "mount", j.index, "error", err)
			}
		}
	}
	return first
}

// purging tells why the caches of the task are not kept, or nothing if they are.
func (v *visit) purging() string {
	if !slices.ContainsFunc(v.jobs, func(j *job) bool { return j.cache != nil }) {
		return ""
	}
	switch {
	case v.run.Aborted:
		v.run.Log.Info("[mounts] Purging caches since the task was aborted and may have left them in an inconsistent state")
		return "the task was aborted"
	case slices.Contains(v.run.Payload.OnExitStatus.PurgeCaches, v.run.LastExit):
		v.run.Log.Info("[mounts] Purging caches since last command had exit code %d which is listed in task.Payload.OnExitStatus.PurgeCaches array", v.run.LastExit)
		return fmt.Sprintf("exit code %d of the task", v.run.LastExit)
	}
	return ""
}

// giveBack takes one mount from the task, so that whoever gets its place later
// finds nothing of it. A file or a tree outside the task directory is left there,
// as the official worker leaves it.
func (v *visit) giveBack(ctx context.Context, j *job, purge string) error {
	var err error
	inside := v.insideCache(j)
	switch {
	case j.cache != nil:
		if j.content != nil {
			j.content.Close()
		}
		err = v.giveBackCache(ctx, j, purge)
	case j.content != nil && j.placed && j.mount.File == "" && (inside || !j.place.outside):
		if err := j.content.Return(ctx, j.place.root, j.place.dir, filepath.ToSlash(j.place.path)); err != nil {
			v.run.Operator.Info("a mounted directory is not kept", "mount", j.index, "error", err)
		}
	case j.content != nil:
		j.content.Close()
	}
	if j.placed && (j.cache == nil && inside || j.cache != nil && j.cache.Left() && (inside || j.place.outside)) {
		v.remove(j)
	}
	return err
}

// insideCache tells whether a mount is inside a cache of the task, so that it
// would be kept with the cache.
func (v *visit) insideCache(j *job) bool {
	return slices.ContainsFunc(v.jobs, func(other *job) bool {
		return other.cache != nil && other.placed && other.place.has(j.place)
	})
}

// remove takes away what is where a mount was put. What it was merged with stays.
func (v *visit) remove(j *job) {
	var err error
	if j.mount.File != "" {
		err = j.place.root.Remove(j.place.path)
	} else if j.made || j.cache != nil {
		err = v.config.Store.Delete(j.place.root, filepath.ToSlash(j.place.path))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.run.Operator.Warn("cannot remove a mount", "path", j.place.full(), "error", err)
	}
}

// giveBackCache returns a cache to the store, or gives it up.
func (v *visit) giveBackCache(ctx context.Context, j *job, purge string) error {
	name := j.mount.CacheName
	switch {
	case j.spoiled:
		v.drop(j, "it could not be filled")
		return nil
	case !j.placed:
		j.cache.Release()
		return nil
	case purge != "":
		v.drop(j, purge)
		return nil
	}
	path := j.place.full()
	j.lines.info("Preserving cache: Moving %q to %q", path, j.cache.Path())
	purged, err := j.cache.Keep(ctx, j.place.root, j.place.dir, filepath.ToSlash(j.place.path))
	if err == nil && purged == "" {
		return nil
	}
	v.drop(j, task.First(err, errors.New(purged)).Error())
	if err == nil {
		return nil
	}
	what := fmt.Sprintf("cache %s", name)
	if j.mount.Content != nil {
		what = title(j.mount.Content)
	}
	j.lines.error("Could not unmount %s due to: 'could not persist cache %q due to %v'", what, name, err)
	if errors.Is(err, cache.ErrMoved) {
		return task.Errorf(task.Failed, "could not persist cache %q due to %w; let the task leave the directory %s where it is", name, err, path)
	}
	v.run.Operator.Warn("a cache is not kept", "cache", name, "error", err)
	return nil
}

// drop gives a cache up.
func (v *visit) drop(j *job, reason string) {
	j.lines.info("Removing cache %s from cache table", j.mount.CacheName)
	j.lines.info("Deleting cache %s file(s) at %s", j.mount.CacheName, j.cache.Path())
	j.cache.Discard(reason)
}
