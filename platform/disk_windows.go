package platform

import (
	"fmt"
	"math"

	"golang.org/x/sys/windows"
)

// FreeBytes returns how much can still be written to the file system that dir
// is on, in bytes, by the worker's user.
func FreeBytes(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	var free uint64
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot ask for the free space of %s: %w", dir, err)
	}
	return int64(min(free, math.MaxInt64)), nil
}
