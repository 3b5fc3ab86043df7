//go:build unix && !linux

package tree

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setTime sets when an open file was last changed.
func setTime(f *os.File, changed time.Time) error {
	at := unix.NsecToTimeval(changed.UnixNano())
	return os.NewSyscallError("futimes", unix.Futimes(int(f.Fd()), []unix.Timeval{at, at}))
}
