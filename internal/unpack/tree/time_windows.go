package tree

import (
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// setTime sets when an open file was last changed.
func setTime(f *os.File, changed time.Time) error {
	at := windows.NsecToFiletime(changed.UnixNano())
	return os.NewSyscallError("SetFileTime", windows.SetFileTime(windows.Handle(f.Fd()), nil, nil, &at))
}
