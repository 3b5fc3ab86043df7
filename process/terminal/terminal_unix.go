//go:build unix

package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Terminal is both ends of a terminal. Methods may be called concurrently.
type Terminal struct {
	ours    *os.File
	theirs  *os.File
	release sync.Once
}

// Open makes a terminal with a window of the given size.
func Open(size Size) (*Terminal, error) {
	master, theirs, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("cannot open a pseudo terminal: %w", err)
	}
	ours, err := interruptible(master)
	_ = master.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open a pseudo terminal: %w", err), theirs.Close())
	}
	t := &Terminal{ours: ours, theirs: theirs}
	if err := t.Resize(size); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// interruptible returns the same terminal as a file whose Close ends a Read or
// Write that waits. That of the library blocks.
func interruptible(file *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}

// Give makes the terminal that of the program to be started with attr, which
// has to begin a session.
func (t *Terminal) Give(attr *os.ProcAttr) {
	attr.Files = []*os.File{t.theirs, t.theirs, t.theirs}
	attr.Sys.Setctty, attr.Sys.Ctty = true, 0
	if user := attr.Sys.Credential; user != nil {
		_ = t.theirs.Chown(int(user.Uid), -1) // for programs that open it by its name
	}
}

// Read returns what the program wrote; io.EOF after Release, when all of it
// was read and no program has the terminal any more, or after HangUp.
func (t *Terminal) Read(p []byte) (int, error) {
	n, err := t.ours.Read(p)
	if errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// Write types. It waits while the program reads nothing of what was typed
// before; HangUp ends that.
func (t *Terminal) Write(p []byte) (int, error) { return t.ours.Write(p) }

// Resize changes the size of the window and tells the program.
func (t *Terminal) Resize(size Size) error {
	conn, err := t.ours.SyscallConn()
	if err != nil {
		return fmt.Errorf("cannot resize the terminal: %w", err)
	}
	var refused error
	err = conn.Control(func(fd uintptr) {
		refused = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
	if err = errors.Join(err, refused); err != nil {
		return fmt.Errorf("cannot resize the terminal: %w", err)
	}
	return nil
}

// HangUp tells the program, by SIGHUP, that nobody uses the terminal any more.
// It may be called at any time, and again.
func (t *Terminal) HangUp() { _ = t.ours.Close() }

// Release is called when the program has ended, or was not started. It may be
// called again.
func (t *Terminal) Release() { t.release.Do(func() { _ = t.theirs.Close() }) }

// Close releases the terminal and hangs up. It may be called again.
func (t *Terminal) Close() error {
	t.Release()
	if err := t.ours.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("cannot close the terminal: %w", err)
	}
	return nil
}
