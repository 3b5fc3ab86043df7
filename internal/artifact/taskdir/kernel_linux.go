package taskdir

import (
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// showsReader tells whether a file is of a file system that shows whoever reads
// it: for /proc/self/environ, that is the worker with its credentials.
func showsReader(file *os.File) (bool, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return false, err
	}
	var stat unix.Statfs_t
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = unix.Fstatfs(int(fd), &stat) }); err != nil {
		return false, err
	}
	return stat.Type == unix.PROC_SUPER_MAGIC, failed
}

// tellsLinks is false before Linux 5.6, and in a container that does not allow the
// call. It is asked of the root, since a file system of the task can say EPERM, too.
var tellsLinks = sync.OnceValue(func() bool {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err == nil {
		_ = unix.Close(fd)
	}
	return err != unix.ENOSYS && err != unix.EPERM
})

// openAbsolute follows no link of /proc to what the worker has open, by whatever
// name: such links lead to files, not to paths.
func openAbsolute(path string) (*os.File, error) {
	if !tellsLinks() {
		return openByName(path)
	}
	how := unix.OpenHow{Flags: uint64(openFlags | unix.O_CLOEXEC | unix.O_LARGEFILE), Resolve: unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR:
		case unix.ELOOP: // it was looked at before, so that it is no loop
			return nil, errReader
		default:
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
