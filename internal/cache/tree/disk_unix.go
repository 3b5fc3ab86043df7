//go:build unix

package tree

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// SameDisk tells whether two directories are on the same file system.
func SameDisk(a, b string) (bool, error) {
	var first, second unix.Stat_t
	if err := unix.Stat(a, &first); err != nil {
		return false, &fs.PathError{Op: "stat", Path: a, Err: err}
	}
	if err := unix.Stat(b, &second); err != nil {
		return false, &fs.PathError{Op: "stat", Path: b, Err: err}
	}
	return first.Dev == second.Dev, nil
}
