package taskdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

// maxLinks is how many symbolic links one path may go through.
const maxLinks = 40

var (
	errOutside    = errors.New("it is outside the task directory")
	errNotRegular = errors.New("it is not a regular file")
	errLinks      = errors.New("too many symbolic links")
	errReader     = errors.New("it shows the worker that reads it, not the task; let a command copy what is wanted")
)

// Tree opens what a task left in its directory.
type Tree struct {
	// Root is the task's directory, opened before the task could replace it.
	// Its name must be absolute.
	Root *os.Root
	// Absolute lets absolute paths lead outside Root. Set it only where tasks
	// run as the worker's own user, since such files are read as the worker.
	Absolute bool
}

// Open opens the regular file at a path relative to the task's directory, or
// at an absolute path. Symbolic links are followed as long as they stay inside
// the directory. It never waits for a named pipe and opens no device. Errors
// are *artifact.FileError.
func (t Tree) Open(path string) (*os.File, fs.FileInfo, error) {
	file, info, err := t.open(path)
	if err != nil {
		return nil, nil, fileError(path, err)
	}
	return file, info, nil
}

// Stat tells what is at a path, following symbolic links as Open does. Errors
// are *artifact.FileError.
func (t Tree) Stat(path string) (fs.FileInfo, error) {
	info, _, err := t.stat(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	return info, nil
}

// Directory opens the directory at a path for reading names, in the way Open
// opens a file. The caller closes it. Errors are *artifact.FileError.
func (t Tree) Directory(path string) (*os.File, error) {
	info, found, err := t.stat(path)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a directory")
	}
	var dir *os.File
	if err == nil {
		dir, err = t.openFile(found)
	}
	if err != nil {
		return nil, fileError(path, err)
	}
	return dir, nil
}

// Clean returns a path in one spelling: with slashes, and relative if it is
// below the task's directory by its text.
func (t Tree) Clean(path string) string {
	if local, inside := t.local(path); inside {
		return filepath.ToSlash(local)
	}
	return filepath.ToSlash(filepath.Clean(path))
}

func (t Tree) open(path string) (*os.File, fs.FileInfo, error) {
	// Looked at first, since opening some devices is an action in itself.
	info, found, err := t.stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, notRegular(info)
	}
	file, err := t.openFile(found)
	if err != nil {
		return nil, nil, err
	}
	info, err = file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(info)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// stat returns what is at path, and the path at which openFile finds it.
func (t Tree) stat(path string) (fs.FileInfo, string, error) {
	local, inside := t.local(path)
	if !inside {
		if !t.Absolute || !filepath.IsAbs(path) {
			return nil, "", errOutside
		}
		info, err := os.Stat(path)
		return info, path, err
	}
	info, err := t.Root.Stat(local)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return info, local, err
	}
	resolved, rerr := t.resolve(local)
	if rerr != nil {
		return nil, "", rerr
	}
	info, err = t.Root.Stat(resolved)
	return info, resolved, err
}

func (t Tree) openFile(found string) (*os.File, error) {
	if !filepath.IsAbs(found) {
		return ofTask(t.Root.OpenFile(found, openFlags, 0))
	}
	return ofTask(openAbsolute(found))
}

// openByName opens a file unless it is one that the worker has open, by its
// number. A link to such a number goes unseen.
func openByName(path string) (*os.File, error) {
	dir, err := ofTask(os.OpenFile(filepath.Dir(path), openFlags, 0))
	if err == nil {
		dir.Close()
	} else if errors.Is(err, errReader) {
		return nil, err
	}
	return os.OpenFile(path, openFlags, 0)
}

// ofTask closes a file that shows the worker instead of the task.
func ofTask(file *os.File, err error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	shows, err := showsReader(file)
	if err == nil && shows {
		err = errReader
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// local returns path relative to the root and whether it is below it.
func (t Tree) local(path string) (string, bool) {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(t.Root.Name(), path)
		if err != nil {
			return "", false
		}
		path = rel
	}
	path = filepath.Clean(path)
	return path, filepath.IsLocal(path)
}

// resolve replaces symbolic links in path by what they point to. os.Root
// refuses absolute ones even if they lead back inside; the path returned is
// again opened through it, so that a link swapped meanwhile leads nowhere.
func (t Tree) resolve(path string) (string, error) {
	for links := 0; links <= maxLinks; links++ {
		link, rest, err := t.firstLink(path)
		if err != nil || link == "" {
			return path, err
		}
		target, err := t.Root.Readlink(link)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(t.Root.Name(), filepath.Dir(link), target)
		}
		next, inside := t.local(filepath.Join(target, rest))
		if !inside {
			return "", errOutside
		}
		path = next
	}
	return "", errLinks
}

// firstLink returns the shortest part of path that is a symbolic link, and what follows it.
func (t Tree) firstLink(path string) (link, rest string, err error) {
	parts := strings.Split(path, string(filepath.Separator))
	for i := range parts {
		part := filepath.Join(parts[:i+1]...)
		info, err := t.Root.Lstat(part)
		if err != nil {
			return "", "", err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return part, filepath.Join(parts[i+1:]...), nil
		}
	}
	return "", "", nil
}

// fileError names the path once, as the caller knows it.
func fileError(path string, err error) *artifact.FileError {
	failure := &artifact.FileError{Path: path, Reason: artifact.Invalid, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		failure.Reason = artifact.Missing
	case errors.Is(err, fs.ErrPermission):
		failure.Reason = artifact.Unreadable
	}
	if detail, ok := errors.AsType[*fs.PathError](err); ok {
		failure.Err = detail.Err
	}
	return failure
}

func notRegular(info fs.FileInfo) error {
	kind := "a special file"
	switch mode := info.Mode(); {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%w but %s", errNotRegular, kind)
}
