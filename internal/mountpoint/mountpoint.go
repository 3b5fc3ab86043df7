// Package mountpoint tells one mounted file system from another, so that who
// deletes or changes a tree of files can stay in the one it is in.
package mountpoint

import (
	"errors"
	"os"
)

// ErrCrossed tells that something else is mounted where a tree was to go on.
var ErrCrossed = errors.New("something is mounted there; unmount it")

// Of returns where the named thing in an open directory is mounted, "." for the
// directory itself. It follows no link.
func Of(dir *os.File, name string) (ID, error) { return idOf(dir, name) }
