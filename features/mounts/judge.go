package mounts

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/fetch"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/unpack"
)

// unreachable tells that a mount's content was not to be had, and says who is
// to blame. Under a done context that is what ended it.
func (v *visit) unreachable(ctx context.Context, j *job, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	j.lines.error("Could not fetch from %s into file %s due to %v", title(j.mount.Content), v.config.Store.Dirs().Downloads, err)
	if _, marked := errors.AsType[*task.Error](err); marked {
		return task.Errorf(task.ResolutionOf(err), "[mounts] %w (mounts[%d])", err, j.index)
	}
	if failure, ok := errors.AsType[*fetch.Error](err); ok && !failure.Infrastructure() {
		return task.Errorf(task.Failed, "[mounts] %w; check the content of mounts[%d]", err, j.index)
	}
	return task.Errorf(task.IntermittentTask, "[mounts] %w; the task is retried (mounts[%d])", err, j.index)
}

// broken marks an error of taking content to where it belongs.
func (v *visit) broken(ctx context.Context, j *job, err error) error {
	_, archives := errors.AsType[*unpack.Error](err)
	wrong, mismatch := errors.AsType[*cache.HashError](err)
	_, marked := errors.AsType[*task.Error](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case marked:
		return err
	case mismatch:
		return task.Errorf(task.Failed, "[mounts] Download of %s has SHA256 %s but task definition explicitly requires %s (mounts[%d])", title(j.mount.Content), wrong.Got, wrong.Want, j.index)
	case archives && j.mount.File != "":
		return task.Errorf(task.Failed, "[mounts] cannot decompress %s as %s: %w; check content and format of mounts[%d]", title(j.mount.Content), j.mount.Format, err, j.index)
	case archives:
		return task.Errorf(task.Failed, "[mounts] cannot unarchive %s as %s: %w; check content and format of mounts[%d]", title(j.mount.Content), j.mount.Format, err, j.index)
	}
	return v.local(j, err)
}

// local marks an error of this machine's disks.
func (v *visit) local(j *job, err error) error {
	switch {
	case noRoom(err):
		return task.Errorf(task.ResourceUnavailable, "[mounts] the worker has no room for mounts[%d]: %w", j.index, err)
	case errors.Is(err, fs.ErrExist): // cache.ErrOccupied is one, too
		return task.Errorf(task.Failed, "[mounts] cannot mount %s: %w; give mounts[%d] a place of its own, or list it earlier", j.place.full(), err, j.index)
	case j.place.outside && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)):
		return task.Errorf(task.Failed, "[mounts] the worker may not write there: %w; change the place of mounts[%d]", err, j.index)
	}
	return err
}

// misplaced marks an error about the place of a mount, which the payload names.
func (v *visit) misplaced(j *job, err error) error {
	if noRoom(err) {
		return v.local(j, err)
	}
	return task.Errorf(task.Failed, "[mounts] %w; change the place of mounts[%d]", err, j.index)
}
