//go:build unix

package tree

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameChecked looks before it moves: in between, somebody could put something
// to the place, which it would replace.
func renameChecked(from int, name string, to int, newName string) error {
	var there unix.Stat_t
	err := unix.Fstatat(to, newName, &there, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		return unix.EEXIST
	}
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	return unix.Renameat(from, name, to, newName)
}
