package tree

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setTime sets when an open file was last changed.
func setTime(f *os.File, changed time.Time) error {
	spec, err := unix.TimeToTimespec(changed)
	if err != nil {
		return nil // 32 bits do not hold it
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, spec}
	err = unix.UtimesNanoAt(int(f.Fd()), "", times, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // before Linux 5.8
		now := unix.NsecToTimeval(changed.UnixNano())
		err = unix.Futimes(int(f.Fd()), []unix.Timeval{now, now})
	}
	return os.NewSyscallError("utimensat", err)
}
