//go:build unix

package tree

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// rename moves by handles of the two directories.
func rename(from, to step) error {
	source, err := from.in.Open(".")
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.in.Open(".")
	if err != nil {
		return err
	}
	defer target.Close()
	err = withFds(source, target, func(sfd, tfd int) error { return renameat(sfd, from.name, tfd, to.name) })
	if errors.Is(err, unix.EXDEV) {
		return ErrElsewhere
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from.place.Name(), New: to.place.Name(), Err: err}
	}
	return nil
}

func withFds(a, b *os.File, do func(a, b int) error) error {
	first, err := a.SyscallConn()
	if err != nil {
		return err
	}
	second, err := b.SyscallConn()
	if err != nil {
		return err
	}
	var done, inner error
	err = first.Control(func(fd uintptr) {
		inner = second.Control(func(other uintptr) { done = do(int(fd), int(other)) })
	})
	return errors.Join(err, inner, done)
}

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
