//go:build unix

package mounts

import (
	"errors"

	"golang.org/x/sys/unix"
)

// noRoom tells that a disk is full, or what of it the worker may use.
func noRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
