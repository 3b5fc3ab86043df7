package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Lock locks the open file without waiting. The error is ErrHeld if
// another process has the lock.
func Lock(file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		// Others cannot read what is locked, so the lock is on a byte far
		// behind what is written.
		at := &windows.Overlapped{OffsetHigh: 1}
		const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
		failed = windows.LockFileEx(windows.Handle(fd), flags, 0, 1, 0, at)
	})
	if errors.Is(failed, windows.ERROR_LOCK_VIOLATION) || errors.Is(failed, windows.ERROR_IO_PENDING) {
		return ErrHeld
	}
	return errors.Join(err, failed)
}

// Unlock does nothing: no other process has the file, so to close it is
// enough.
func Unlock(*os.File) error { return nil }
