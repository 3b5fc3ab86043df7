package tree

import (
	"context"
	"io/fs"
	"os"
)

// special are the bits that let a program run as another user or group.
const special = fs.ModeSetuid | fs.ModeSetgid

// Tidy makes what a task left below root fit to be kept, and returns how many
// bytes it takes on the disk: bits that let a program run as another user are
// taken away, devices, sockets and named pipes are removed, and directories that
// their owner cannot enter are opened to him.
//
// All of it belongs to the worker's user, as long as tasks run as that user.
// Where tasks have users of their own, this is the place to give what they left
// back to the worker, and Place in package cache the one to give it to the next.
func Tidy(ctx context.Context, root *os.Root) (bytes int64, err error) {
	seen := links{}
	err = walk(ctx, root, func(e entry) error {
		if e.stat.Mode&fs.ModeIrregular != 0 {
			return e.in.Remove(e.name)
		}
		bytes += seen.bytes(e.stat)
		mode := e.stat.Mode
		if mode.IsDir() {
			mode |= 0o700
		}
		if mode&special == 0 && mode == e.stat.Mode || mode&fs.ModeSymlink != 0 {
			return nil
		}
		return e.in.Chmod(e.name, mode&(fs.ModePerm|fs.ModeSticky))
	})
	return bytes, err
}

// Usage returns how many bytes what is below root takes on the disk.
func Usage(ctx context.Context, root *os.Root) (bytes int64, err error) {
	seen := links{}
	err = walk(ctx, root, func(e entry) error {
		bytes += seen.bytes(e.stat)
		return nil
	})
	return bytes, err
}
