package mounts

import (
	"errors"

	"golang.org/x/sys/windows"
)

// noRoom tells that a disk is full.
func noRoom(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
