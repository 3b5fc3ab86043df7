//go:build unix && !linux

package trash

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mount tells one mounted file system from another.
type mount struct{ device uint64 }

// mountOf returns where the named thing in dir is mounted; it follows no link.
func mountOf(dir *os.File, name string) (mount, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return mount{}, err
	}
	var stat unix.Stat_t
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = unix.Fstatat(int(fd), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err = errors.Join(err, failed); err != nil {
		return mount{}, &os.PathError{Op: "fstatat", Path: name, Err: err}
	}
	return mount{device: uint64(stat.Dev)}, nil
}
