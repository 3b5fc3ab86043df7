// Package filelock keeps a directory, or a file, for one process. The operating
// system gives a lock back when its process ends, in whatever way, so no lock is
// ever stale. What a directory is for is its owner's to know.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Name is what the file is called by which a directory is locked.
const Name = "generic-worker.lock"

const (
	// A holder writes its process ID right after it got the lock. A second
	// worker gives it this long, on a machine that may be busy.
	pidWait, pidRetry = 10 * time.Second, 10 * time.Millisecond
)

// ErrHeld tells that another process has the lock.
var ErrHeld = errors.New("held by another process")

// HeldError tells that another worker works in a directory. It is ErrHeld.
type HeldError struct {
	Dir     string
	Setting string // the configuration key that names the directory
	PID     int    // of the other worker; 0 if it could not be read
}

// Unwrap returns ErrHeld.
func (e *HeldError) Unwrap() error { return ErrHeld }

func (e *HeldError) Error() string {
	return fmt.Sprintf("another generic-worker (pid %d) is working in %s; stop it, or give this one another %s", e.PID, e.Dir, e.Setting)
}

// Take takes a directory, which must exist, for this process; setting is the
// configuration key that names it. If another process has it, the error is a
// *HeldError: at once, or within ten seconds if that one has not written who it is.
func Take(dir, setting string) (release func() error, err error) {
	// The file stays when the lock is released: to delete it would let two
	// workers hold locks on two files of the same name.
	file, err := os.OpenFile(filepath.Join(dir, Name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock of %s: %w", dir, err)
	}
	pid := 0
	for end := time.Now().Add(pidWait); ; time.Sleep(pidRetry) {
		// A holder without a process ID may just have released the lock, and only a
		// process it was starting at that moment still has it.
		if err = Lock(file); !errors.Is(err, ErrHeld) {
			break
		}
		if pid = holder(file); pid != 0 || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		defer file.Close()
		if errors.Is(err, ErrHeld) {
			return nil, &HeldError{Dir: dir, Setting: setting, PID: pid}
		}
		return nil, fmt.Errorf("cannot lock %s: %w", dir, err)
	}
	if err := writePID(file, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write the lock of %s: %w", dir, err), file.Close())
	}
	return func() error { return errors.Join(writePID(file, ""), Unlock(file), file.Close()) }, nil
}

func writePID(file *os.File, text string) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// holder reads the process ID of the worker that holds the lock; 0 if it has
// not written it.
func holder(file *os.File) int {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 32))
	pid, whole := strings.CutSuffix(string(text), "\n")
	id, bad := strconv.Atoi(pid)
	if err != nil || bad != nil || !whole {
		return 0
	}
	return id
}
