//go:build unix && !linux

package mountpoint

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ID tells one mounted file system from another.
type ID struct{ device uint64 }

func idOf(dir *os.File, name string) (ID, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return ID{}, err
	}
	var stat unix.Stat_t
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = unix.Fstatat(int(fd), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err = errors.Join(err, failed); err != nil {
		return ID{}, &os.PathError{Op: "fstatat", Path: name, Err: err}
	}
	return ID{device: uint64(stat.Dev)}, nil
}
