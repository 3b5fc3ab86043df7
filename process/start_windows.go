package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	defaultExtensions = ".COM;.EXE;.BAT;.CMD"

	errorBadEXEFormat     = syscall.Errno(windows.ERROR_BAD_EXE_FORMAT)
	errorElevationNeeded  = syscall.Errno(windows.ERROR_ELEVATION_REQUIRED)
	errorNameTooLong      = syscall.Errno(windows.ERROR_FILENAME_EXCED_RANGE)
	errorWrongMachine     = syscall.Errno(windows.ERROR_EXE_MACHINE_TYPE_MISMATCH)
	errorSharingViolation = syscall.Errno(windows.ERROR_SHARING_VIOLATION)
)

// osFields hold the token of a Windows user; 0 is the worker's own.
type osFields struct{ token windows.Token }

// User is the identity that token is a primary token of. The caller closes the
// token, after the last Run with it.
func User(token windows.Token) Identity { return Identity{osFields{token}} }

// lookUp returns the path of a program, found in PATH with the extensions of
// PATHEXT.
func (c *Command) lookUp(name string) (string, error) {
	extensions, ok := c.variable(func(n string) bool { return strings.EqualFold(n, "PATHEXT") })
	if !ok {
		extensions = defaultExtensions
	}
	list, _ := c.variable(func(n string) bool { return strings.EqualFold(n, "PATH") })
	dirs := filepath.SplitList(list)
	if strings.ContainsAny(name, `:\/`) {
		dirs = []string{""}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.Dir, path)
		}
		for _, extension := range append([]string{""}, strings.Split(extensions, ";")...) {
			if extension == "" && filepath.Ext(path) == "" {
				continue
			}
			if info, err := os.Stat(path + extension); err == nil && !info.IsDir() {
				return path + extension, nil
			}
		}
	}
	return "", c.authorFault(127, fmt.Errorf("no such program: %w; install it, correct the name, or set PATH", fs.ErrNotExist))
}

func isBusy(err error) bool { return errors.Is(err, errorSharingViolation) }

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
	case syscall.ERROR_FILE_NOT_FOUND, syscall.ERROR_PATH_NOT_FOUND:
		return c.authorFault(127, fmt.Errorf("no such program: %w; correct the path", errno))
	case errorBadEXEFormat, errorWrongMachine:
		return c.authorFault(126, fmt.Errorf("%w: use a program built for this kind of machine", errno))
	case syscall.ERROR_ACCESS_DENIED, errorElevationNeeded, errorSharingViolation:
		return c.authorFault(126, fmt.Errorf("cannot execute %s: %w", path, errno))
	case errorNameTooLong:
		return c.authorFault(126, fmt.Errorf("%w: shorten its arguments", errno))
	}
	return c.machineFault(errno)
}

// spawn creates path suspended, with the files as its standard handles and no
// others, puts it into a job of its own and lets it go.
func (c *Command) spawn(path string, files []*os.File, _ limits) (*tree, error) {
	job, err := newJob(c.Limits)
	if err != nil {
		return nil, err
	}
	info, err := c.create(path, files)
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, err
	}
	defer windows.CloseHandle(info.Thread)
	t := &tree{job: job, main: info.Process, pid: int(info.ProcessId), name: filepath.Base(path)}
	err = t.limit(c.Limits)
	if err == nil {
		err = windows.AssignProcessToJobObject(job, info.Process)
	}
	if err == nil {
		_, err = windows.ResumeThread(info.Thread)
	}
	if err != nil {
		_ = windows.TerminateProcess(info.Process, 1)
		t.close()
		return nil, fmt.Errorf("cannot put it into a job object: %w", err)
	}
	t.watch()
	return t, nil
}

func (c *Command) create(path string, files []*os.File) (*windows.ProcessInformation, error) {
	handles, err := inheritable(files)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, h := range handles {
			_ = windows.CloseHandle(h)
		}
	}()
	attributes, err := windows.NewProcThreadAttributeList(1)
	if err != nil {
		return nil, err
	}
	defer attributes.Delete()
	start := &windows.StartupInfoEx{}
	start.Cb = uint32(unsafe.Sizeof(*start))
	start.Flags = windows.STARTF_USESTDHANDLES
	flags := uint32(windows.CREATE_SUSPENDED | windows.CREATE_UNICODE_ENVIRONMENT | windows.EXTENDED_STARTUPINFO_PRESENT)
	if c.Terminal != nil {
		// Or the worker's own are used if they are redirected, instead of those
		// of the console: https://github.com/microsoft/terminal/issues/11276
		start.StdInput, start.StdOutput, start.StdErr = windows.InvalidHandle, windows.InvalidHandle, windows.InvalidHandle
		err = c.Terminal.Give(attributes)
	} else {
		flags |= windows.CREATE_NEW_PROCESS_GROUP // in which Ctrl-C does nothing
		start.StdInput, start.StdOutput, start.StdErr = handles[0], handles[1], handles[2]
		size := uintptr(len(handles)) * unsafe.Sizeof(handles[0])
		err = attributes.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, unsafe.Pointer(&handles[0]), size)
	}
	if err != nil {
		return nil, err
	}
	start.ProcThreadAttributeList = attributes.List()

	var texts [3]*uint16 // a NUL in them was refused before
	for i, s := range []string{path, windows.ComposeCommandLine(c.Argv), c.Dir} {
		if texts[i], err = windows.UTF16PtrFromString(s); err != nil {
			return nil, err
		}
	}
	if c.Dir == "" {
		texts[2] = nil
	}
	block := c.block()
	inherit := c.Terminal == nil
	info := new(windows.ProcessInformation)
	if c.As.token != 0 {
		err = windows.CreateProcessAsUser(c.As.token, texts[0], texts[1], nil, nil, inherit, flags, &block[0], texts[2], &start.StartupInfo, info)
	} else {
		err = windows.CreateProcess(texts[0], texts[1], nil, nil, inherit, flags, &block[0], texts[2], &start.StartupInfo, info)
	}
	return info, err
}

// inheritable duplicates the files' handles for a child.
func inheritable(files []*os.File) (handles []windows.Handle, err error) {
	self := windows.CurrentProcess()
	for _, f := range files {
		var h windows.Handle
		if err := windows.DuplicateHandle(self, windows.Handle(f.Fd()), self, &h, 0, true, windows.DUPLICATE_SAME_ACCESS); err != nil {
			for _, h := range handles {
				_ = windows.CloseHandle(h)
			}
			return nil, os.NewSyscallError("DuplicateHandle", err)
		}
		handles = append(handles, h)
	}
	return handles, nil
}

// block is the environment as CreateProcess takes it. SystemRoot is added, for
// without it hardly a program starts.
func (c *Command) block() []uint16 {
	env := c.environment()
	isRoot := func(pair string) bool { return len(pair) > 11 && strings.EqualFold(pair[:11], "SYSTEMROOT=") }
	if !slices.ContainsFunc(env, isRoot) {
		env = append(env, "SystemRoot="+os.Getenv("SystemRoot"))
	}
	var block []uint16
	for _, pair := range env {
		if text, err := windows.UTF16FromString(pair); err == nil {
			block = append(block, text...)
		}
	}
	return append(block, 0)
}
