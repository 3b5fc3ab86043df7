//go:build unix

package platform

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks the open file without waiting. The error is errHeld if
// another process has the lock.
func lockFile(file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for failed = unix.EINTR; failed == unix.EINTR; {
			failed = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
		}
	})
	if errors.Is(failed, unix.EWOULDBLOCK) {
		return errHeld
	}
	return errors.Join(err, failed)
}
