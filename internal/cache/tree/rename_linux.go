package tree

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameat replaces nothing.
func renameat(from int, name string, to int, newName string) error {
	err := unix.Renameat2(from, name, to, newName, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return renameChecked(from, name, to, newName) // a file system that does not know the flag
	}
	return err
}
