//go:build unix

package tree

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// blockSize is the unit of st_blocks.
const blockSize = 512

// statAll tells about the named things in an open directory, following no
// link. What is gone meanwhile is left out.
func statAll(dir *os.File, names []string, each func(name string, stat Stat)) error {
	conn, err := dir.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for _, name := range names {
			var raw unix.Stat_t
			err := unix.Fstatat(int(fd), name, &raw, unix.AT_SYMLINK_NOFOLLOW)
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			if err != nil {
				failed = &fs.PathError{Op: "stat", Path: name, Err: err}
				return
			}
			each(name, statOf(&raw))
		}
	})
	return errors.Join(err, failed)
}

func statFile(file *os.File) (Stat, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return Stat{}, err
	}
	var raw unix.Stat_t
	var failed error
	err = conn.Control(func(fd uintptr) { failed = unix.Fstat(int(fd), &raw) })
	if err = errors.Join(err, failed); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	return statOf(&raw), nil
}

func statOf(raw *unix.Stat_t) Stat {
	return Stat{
		Mode: modeOf(uint32(raw.Mode)), Size: raw.Size,
		Modified: raw.Mtim.Nano(), Changed: raw.Ctim.Nano(), Inode: uint64(raw.Ino),
		names: uint64(raw.Nlink), occupied: int64(raw.Blocks) * blockSize,
	}
}

func modeOf(raw uint32) fs.FileMode {
	mode := fs.FileMode(raw & 0o777)
	switch raw & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFREG:
	default:
		mode |= fs.ModeIrregular
	}
	if raw&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if raw&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if raw&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// openFlags keep the open of a named pipe, put in place of a file after it was
// looked at, from waiting for a writer.
const openFlags = os.O_RDONLY | unix.O_NONBLOCK
