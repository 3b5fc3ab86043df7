package tree

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// rename moves by path, since nothing of the task runs any more, or yet, that
// could replace what is on the way.
func rename(from, to step) error {
	if _, err := to.in.Lstat(to.name); err == nil {
		return &os.LinkError{Op: "rename", Old: from.place.Name(), New: to.place.Name(), Err: fs.ErrExist}
	}
	err := os.Rename(from.place.Name(), to.place.Name())
	if errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) {
		return ErrElsewhere
	}
	return err
}
