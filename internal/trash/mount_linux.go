package trash

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mount tells one mounted file system from another. The device alone would
// not: a bind mount has the device of what it shows.
type mount struct {
	major, minor uint32
	id           uint64 // 0 before Linux 5.8
}

// mountOf returns where the named thing in dir is mounted; it follows no link.
func mountOf(dir *os.File, name string) (mount, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return mount{}, err
	}
	var stat unix.Statx_t
	var failed error
	err = conn.Control(func(fd uintptr) {
		flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
		failed = unix.Statx(int(fd), name, flags, unix.STATX_TYPE|unix.STATX_MNT_ID, &stat)
	})
	if err = errors.Join(err, failed); err != nil {
		return mount{}, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	at := mount{major: stat.Dev_major, minor: stat.Dev_minor}
	if stat.Mask&unix.STATX_MNT_ID != 0 {
		at.id = stat.Mnt_id
	}
	return at, nil
}
