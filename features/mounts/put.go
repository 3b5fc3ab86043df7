package mounts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/unpack"
)

func failed(format string, args ...any) error {
	return task.Errorf(task.Failed, "[mounts] "+format, args...)
}

// put puts a mount in place. Of one that cannot be made nothing stays, unless
// something was there before; a cache is given back later.
func (v *visit) put(ctx context.Context, j *job) error {
	j.made = j.place.free()
	err := v.putKind(ctx, j)
	if err != nil && j.made && j.cache == nil {
		v.remove(j)
	}
	return err
}

func (v *visit) putKind(ctx context.Context, j *job) error {
	switch {
	case j.mount.File != "":
		return v.putFile(ctx, j)
	case j.cache == nil:
		return v.putDirectory(ctx, j)
	case j.cache.Fresh():
		return v.putFreshCache(ctx, j)
	}
	return v.putCache(ctx, j)
}

// putFile copies a file into the task.
func (v *visit) putFile(ctx context.Context, j *job) error {
	path := j.place.full()
	if err := j.overDirectory(); err != nil {
		return err
	}
	j.lines.info("Creating directory %s", filepath.Dir(path))
	if err := j.place.parent(); err != nil {
		return v.misplaced(j, err)
	}
	kept := j.kept()
	if j.mount.Format == "" {
		j.lines.info("Copying %s to %s", kept, path)
	} else {
		j.lines.info("Decompressing %s file %s to '%s'", j.mount.Format, kept, path)
	}
	var err error
	if j.content == nil {
		err = v.write(j)
	} else {
		err = j.content.Place(ctx, j.place.root, j.place.dir, filepath.ToSlash(j.place.path))
	}
	if err != nil {
		return v.broken(ctx, j, fmt.Errorf("cannot put a file at %s: %w", path, err))
	}
	j.placed = true
	return nil
}

// overDirectory is the error for a file where a directory is.
func (j *job) overDirectory() error {
	if j.place.isDirectory() {
		return failed("cannot mount file at path %s since it already exists as a directory; name the file in mounts[%d]", j.place.full(), j.index)
	}
	return nil
}

// write makes a file of what the payload has. It replaces a file, and does not
// follow a link.
func (v *visit) write(j *job) error {
	if err := j.place.root.Remove(j.place.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	file, err := j.place.root.OpenFile(j.place.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	err = decompress(j.mount.Format, bytes.NewReader(j.mount.Content.Inline), file, v.config.Limits)
	return task.First(err, file.Close())
}

// putDirectory puts a tree into the task.
func (v *visit) putDirectory(ctx context.Context, j *job) error {
	path := j.place.full()
	j.lines.info("Creating directory %s", path)
	if j.content == nil {
		return v.fill(ctx, j)
	}
	err := j.place.parent()
	if err == nil && !j.made && !j.place.isDirectory() {
		err = fmt.Errorf("cannot create directory %s: a file is there", path)
	}
	if err != nil {
		return v.misplaced(j, err)
	}
	j.lines.info("Copying file '%s' to '%s' is not needed", j.content.Path(), path)
	j.lines.info("Extracting %s file %s to '%s' was done when it was downloaded", j.mount.Format, j.content.Path(), path)
	j.lines.info("Removing file '%s' is not needed", j.content.Path())
	place := j.content.Place
	if j.place.outside && !v.insideCache(j) {
		place = j.content.Copy // it stays there
	}
	if err := place(ctx, j.place.root, j.place.dir, filepath.ToSlash(j.place.path)); err != nil {
		return v.broken(ctx, j, fmt.Errorf("cannot put a directory at %s: %w", path, err))
	}
	j.placed = true
	return nil
}

// putCache moves a cache with its content into the task.
func (v *visit) putCache(ctx context.Context, j *job) error {
	path := j.place.full()
	j.lines.info("Moving existing writable directory cache %s from %s to %s", j.mount.CacheName, j.cache.Path(), path)
	j.lines.info("Creating directory %s", filepath.Dir(path))
	if err := j.place.parent(); err != nil {
		return v.misplaced(j, err)
	}
	if err := v.placeCache(ctx, j); err != nil {
		return err
	}
	j.lines.info("Successfully mounted writable directory cache '%s'", path)
	return nil
}

// putFreshCache moves an empty cache into the task and fills it there.
func (v *visit) putFreshCache(ctx context.Context, j *job) error {
	path := j.place.full()
	j.lines.info("Creating directory %s", path)
	if err := j.place.parent(); err != nil {
		return v.misplaced(j, err)
	}
	if err := v.placeCache(ctx, j); err != nil {
		return err
	}
	if j.mount.Content != nil {
		j.spoiled = true // until all of it is there
		if err := v.fill(ctx, j); err != nil {
			return err
		}
		j.spoiled = false
	}
	j.lines.info("Successfully mounted writable directory cache '%s'", path)
	return nil
}

func (v *visit) placeCache(ctx context.Context, j *job) error {
	if err := j.cache.Place(ctx, j.place.root, j.place.dir, filepath.ToSlash(j.place.path)); err != nil {
		return v.broken(ctx, j, fmt.Errorf("cannot put cache %s at %s: %w", j.mount.CacheName, j.place.full(), err))
	}
	j.placed = true
	return nil
}

// fill unpacks an archive straight into the task.
func (v *visit) fill(ctx context.Context, j *job) error {
	path := j.place.full()
	if err := j.place.makeDirectory(j.place.path); err != nil {
		return v.misplaced(j, err)
	}
	into, err := j.place.root.OpenRoot(j.place.path)
	if err != nil {
		return v.misplaced(j, fmt.Errorf("cannot open directory %s: %w", path, err))
	}
	defer into.Close()
	from, done, err := v.archive(j)
	if err != nil {
		return v.local(j, fmt.Errorf("cannot open the archive for %s: %w", path, err))
	}
	defer done()
	kept := j.kept()
	j.lines.info("Copying file '%s' to '%s' is not needed", kept, path)
	j.lines.info("Extracting %s file %s to '%s'", j.mount.Format, kept, path)
	if err := v.unpack(ctx, j, from, into); err != nil {
		return v.broken(ctx, j, fmt.Errorf("cannot fill %s: %w", path, err))
	}
	j.lines.info("Removing file '%s' is not needed", kept)
	j.placed = true
	return nil
}

// kept is what log lines call the content where it is before it is put in place.
func (j *job) kept() string {
	if j.content != nil {
		return j.content.Path()
	}
	return title(j.mount.Content)
}

// archive opens the archive that a directory is filled from, as a file if the
// format wants one. The caller calls done.
func (v *visit) archive(j *job) (from io.Reader, done func(), err error) {
	if j.content != nil {
		file, err := j.content.Open()
		if err != nil {
			return nil, nil, err
		}
		return file, func() { _ = file.Close() }, nil // it was only read
	}
	inline := bytes.NewReader(j.mount.Content.Inline)
	if !unpack.Seekable(j.mount.Format) {
		return inline, func() {}, nil
	}
	spool, err := os.CreateTemp(v.run.Dir, "mount-*")
	if err != nil {
		return nil, nil, err
	}
	// It may be a secret, so it has no name as soon as the system allows that: on
	// Windows when it is closed.
	_ = os.Remove(spool.Name())
	done = func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name()) // goes with the run's directory
	}
	if _, err = io.Copy(spool, inline); err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return spool, done, nil
}
