package mountpoint

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ID tells one mounted file system from another. The device alone would
// not: a bind mount has the device of what it shows.
type ID struct {
	major, minor uint32
	id           uint64 // 0 before Linux 5.8
}

func idOf(dir *os.File, name string) (ID, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return ID{}, err
	}
	var stat unix.Statx_t
	var failed error
	err = conn.Control(func(fd uintptr) {
		flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
		failed = unix.Statx(int(fd), name, flags, unix.STATX_TYPE|unix.STATX_MNT_ID, &stat)
	})
	if err = errors.Join(err, failed); err != nil {
		return ID{}, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	at := ID{major: stat.Dev_major, minor: stat.Dev_minor}
	if stat.Mask&unix.STATX_MNT_ID != 0 {
		at.id = stat.Mnt_id
	}
	return at, nil
}
