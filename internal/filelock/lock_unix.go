//go:build unix

package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Lock locks the open file without waiting. The error is ErrHeld if
// another process has the lock.
func Lock(file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(failed, unix.EWOULDBLOCK) {
		return ErrHeld
	}
	return errors.Join(err, failed)
}

// Unlock gives the lock back at once. To close the file would do that only
// when a process that is being started has closed it, too.
func Unlock(file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = flock(fd, unix.LOCK_UN) })
	return errors.Join(err, failed)
}

func flock(fd uintptr, how int) (err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(fd), how)
	}
	return err
}
