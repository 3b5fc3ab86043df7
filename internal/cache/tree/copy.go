package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Copy copies what is below from, which is a directory, to below to, which is
// one too: modes, times of change, symbolic links, and files with several names.
// Where the disk can, files share their blocks. A file or link that is there
// already is replaced; a directory is merged with.
//
// With a manifest, only what it lists is copied, and each file is compared with
// it after it was read: the error for a difference is a *ChangedError, so that nobody
// gets what another one changed meanwhile.
func Copy(ctx context.Context, from, to *os.Root, want *Manifest) error {
	c := &copying{to: to, want: want, names: map[uint64]string{}}
	if err := walk(ctx, from, func(e entry) error { return c.entry(ctx, e) }); err != nil {
		return err
	}
	if want != nil && c.done < len(want.Entries) {
		return want.missing(ctx, from)
	}
	return c.finishDirs()
}

// CopyWhole is Copy of everything, with the mode of from itself.
func CopyWhole(ctx context.Context, from, to *os.Root) error {
	info, err := from.Stat(".")
	if err == nil {
		err = Copy(ctx, from, to, nil)
	}
	if err != nil {
		return err
	}
	return to.Chmod(".", info.Mode()&(fs.ModePerm|fs.ModeSticky))
}

type copying struct {
	to    *os.Root
	want  *Manifest
	names map[uint64]string // of files with several names, by inode
	dirs  []entry           // whose modes and times are set in the end
	done  int
}

func (c *copying) entry(ctx context.Context, e entry) error {
	if c.want != nil {
		was, known := c.want.Entries[e.path]
		if !known {
			return errSkip
		}
		if !was.same(e.stat) {
			return errChanged(e.path, was, e.stat)
		}
	}
	c.done++
	target := filepath.FromSlash(e.path)
	switch e.stat.Mode.Type() {
	case fs.ModeDir:
		c.dirs = append(c.dirs, e)
		return c.dir(target)
	case fs.ModeSymlink:
		return c.link(e, target)
	case 0:
		return c.file(ctx, e, target)
	}
	return nil
}

func (c *copying) dir(target string) error {
	err := c.to.Mkdir(target, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := c.to.Lstat(target)
	if err != nil || info.IsDir() {
		return err
	}
	if err := c.to.Remove(target); err != nil {
		return err
	}
	return c.to.Mkdir(target, 0o700)
}

func (c *copying) link(e entry, target string) error {
	points, err := e.in.Readlink(e.name)
	if err != nil {
		return err
	}
	if err := removeFile(c.to, target); err != nil {
		return err
	}
	return c.to.Symlink(points, target)
}

func (c *copying) file(ctx context.Context, e entry, target string) error {
	if e.stat.names > 1 {
		if first, copied := c.names[e.stat.Inode]; copied {
			if err := removeFile(c.to, target); err != nil {
				return err
			}
			if c.to.Link(first, target) == nil {
				return nil
			}
		}
		c.names[e.stat.Inode] = target
	}
	source, err := openFile(e.in, e.name, e.stat)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := CopyFile(ctx, source, c.to, target); err != nil {
		return err
	}
	if c.want == nil {
		return nil
	}
	now, err := statFile(source)
	if was := c.want.Entries[e.path]; err == nil && !was.same(now) {
		err = errChanged(e.path, was, now)
	}
	return err
}

// openFile opens the regular file that has the stat, and nothing that took its place.
func openFile(in *os.Root, name string, stat Stat) (*os.File, error) {
	file, err := in.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	now, err := statFile(file)
	if err == nil && (!now.Mode.IsRegular() || now.Inode != stat.Inode) {
		err = &ChangedError{Path: name, What: "was replaced"}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// CopyFile copies an open file, with its mode and its time of change, to a path
// in a directory, replacing a file or a link that is there. Where the disk can,
// the two share their blocks.
func CopyFile(ctx context.Context, source *os.File, to *os.Root, target string) error {
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := removeFile(to, target); err != nil {
		return err
	}
	file, err := to.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = clone(file, source); err != nil {
		err = copyBytes(ctx, file, source)
	}
	err = errors.Join(err, file.Chmod(info.Mode().Perm()), file.Close())
	if err != nil {
		return err
	}
	return to.Chtimes(target, time.Time{}, info.ModTime())
}

// chunk is how much is copied between two looks at the context.
const chunk = 16 << 20

// copyBytes copies what a file has. What of it is a hole stays one.
func copyBytes(ctx context.Context, to, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	for at, size := int64(0), info.Size(); at < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		begin, end := data(from, at, size)
		at = min(end, begin+chunk)
		_, err := from.Seek(begin, io.SeekStart)
		if err == nil {
			_, err = to.Seek(begin, io.SeekStart)
		}
		if err == nil {
			_, err = io.CopyN(to, from, at-begin)
		}
		if errors.Is(err, io.EOF) {
			return nil // it became shorter
		}
		if err != nil {
			return err
		}
	}
	return to.Truncate(info.Size())
}

// removeFile makes room for a file; a directory is left and is an error.
func removeFile(in *os.Root, name string) error {
	info, err := in.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return &fs.PathError{Op: "replace", Path: name, Err: fmt.Errorf("it is a directory: %w", fs.ErrExist)}
	}
	return in.Remove(name)
}

// finishDirs gives the copied directories their modes and times, the innermost first.
func (c *copying) finishDirs() error {
	for i := len(c.dirs) - 1; i >= 0; i-- {
		dir := c.dirs[i]
		name := filepath.FromSlash(dir.path)
		if err := c.to.Chmod(name, dir.stat.Mode.Perm()); err != nil {
			return err
		}
		if err := c.to.Chtimes(name, time.Time{}, time.Unix(0, dir.stat.Modified)); err != nil {
			return err
		}
	}
	return nil
}
