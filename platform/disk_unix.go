//go:build unix

package platform

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FreeBytes returns how much can still be written to the file system that dir
// is on, in bytes, by a user without privileges.
func FreeBytes(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("cannot ask for the free space of %s: %w", dir, err)
	}
	return max(0, int64(stat.Bavail)) * int64(stat.Bsize), nil
}
