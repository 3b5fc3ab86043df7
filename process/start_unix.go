//go:build unix

package process

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// defaultPath is where a program is looked for if Env, or this process, has no PATH.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// osFields are the credentials of a Unix user; nil is the worker's own.
type osFields struct{ user *syscall.Credential }

// User is the identity with these numeric user, group and supplementary
// groups. Taking another than its own needs the worker to run as root.
func User(uid, gid uint32, groups []uint32) Identity {
	return Identity{osFields{&syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}}
}

// lookUp returns the path of a program, from Dir: as execvp would find it in the
// PATH of Env, or else in that of this process, since a PATH that a task sets for
// its programs need not lead to the first one.
func (c *Command) lookUp(name string) (string, error) {
	if strings.Contains(name, "/") {
		return c.inDir(name), nil // the system tells what is wrong with it
	}
	list, ok := c.variable(func(name string) bool { return name == "PATH" })
	if !ok {
		list = defaultPath
	}
	var refused string
	for _, dir := range strings.Split(list+":"+cmp.Or(os.Getenv("PATH"), defaultPath), ":") {
		path := c.inDir(filepath.Join(dir, name))
		info, err := os.Stat(path)
		switch {
		case err != nil || info.IsDir():
		case info.Mode()&0o111 == 0:
			refused = path
		default:
			return path, nil
		}
	}
	if refused != "" {
		return "", c.authorFault(126, fmt.Errorf("%s is not executable: %w; set its executable bit", refused, fs.ErrPermission))
	}
	return "", c.authorFault(127, fmt.Errorf("no such program in %s, nor in the PATH of the worker: %w; install it or correct the name", list, fs.ErrNotExist))
}

func (c *Command) inDir(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Dir, path)
}

func isBusy(err error) bool { return errors.Is(err, syscall.ETXTBSY) }

// explain says whose fault it is that path did not start.
func (c *Command) explain(path string, err error) *StartError {
	if dir := c.missing(); dir != nil {
		return c.machineFault(dir)
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return c.machineFault(err)
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR:
		if _, missing := os.Stat(path); missing != nil {
			return c.authorFault(127, fmt.Errorf("no such program: %w; correct the path", errno))
		}
		return c.authorFault(126, fmt.Errorf("its interpreter is missing: %w; correct its #! line, or use a program built for this system", errno))
	case syscall.EACCES, syscall.EISDIR:
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return c.authorFault(126, fmt.Errorf("%s is a directory: %w; name a program", path, errno))
		}
		return c.authorFault(126, fmt.Errorf("%s is not executable: %w; set its executable bit", path, errno))
	case syscall.ENOEXEC:
		return c.authorFault(126, fmt.Errorf("%w: start it with a #! line, or use a program built for this kind of machine", errno))
	case syscall.E2BIG:
		return c.authorFault(126, fmt.Errorf("%w: shorten its arguments and environment", errno))
	case syscall.ETXTBSY:
		return c.authorFault(126, fmt.Errorf("%w: close %s in whatever is writing it", errno, path))
	case syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL:
		return c.authorFault(126, errno)
	}
	return c.machineFault(errno) // a lack of memory, processes, files or rights
}
