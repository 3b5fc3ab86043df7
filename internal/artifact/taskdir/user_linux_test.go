package taskdir

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asOrdinaryUser runs f with the permissions of nobody on files, also if this
// process is root's.
func asOrdinaryUser(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Geteuid() == 0 {
		const nobody = 65534
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Setfsuid(0); err != nil {
				t.Error(err)
			}
		}()
	}
	f()
}
