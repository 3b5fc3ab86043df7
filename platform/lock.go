package platform

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

const (
	lockName = "generic-worker.lock"
	// A holder writes its process ID right after it got the lock; a second
	// worker gives it this long.
	pidWait, pidRetry = 500 * time.Millisecond, 10 * time.Millisecond
)

var errHeld = errors.New("held by another process")

// LockedError tells that another worker works in a directory.
type LockedError struct {
	Dir     string
	Setting string // the configuration key that names the directory
	PID     int    // of the other worker; 0 if it could not be read
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another generic-worker (pid %d) is working in %s; stop it, or give this one another %s", e.PID, e.Dir, e.Setting)
}

// Lock takes the worker's state directory, which must exist, for this process.
// If another process has it, the error is a *LockedError, within one second.
// The operating system gives the lock back when the process ends, in whatever
// way: no lock is ever stale.
func Lock(dir string) (release func() error, err error) { return lock(dir, "stateDir") }

func lock(dir, setting string) (func() error, error) {
	// The file stays when the lock is released: to delete it would let two
	// workers hold locks on two files of the same name.
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock of %s: %w", dir, err)
	}
	err = lockFile(file)
	pid := 0
	if errors.Is(err, errHeld) {
		// A holder without a process ID has just released the lock, and only a
		// process it was starting at that moment still has it.
		if pid = holder(file); pid == 0 {
			err = lockFile(file)
		}
	}
	if err != nil {
		defer file.Close()
		if errors.Is(err, errHeld) {
			return nil, &LockedError{Dir: dir, Setting: setting, PID: pid}
		}
		return nil, fmt.Errorf("cannot lock %s: %w", dir, err)
	}
	if err := writePID(file, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write the lock of %s: %w", dir, err), file.Close())
	}
	return func() error { return errors.Join(writePID(file, ""), file.Close()) }, nil
}

func writePID(file *os.File, text string) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// holder reads the process ID of the worker that holds the lock.
func holder(file *os.File) int {
	for end := time.Now().Add(pidWait); ; time.Sleep(pidRetry) {
		text, err := io.ReadAll(io.NewSectionReader(file, 0, 32))
		pid, whole := strings.CutSuffix(string(text), "\n")
		if id, bad := strconv.Atoi(pid); err == nil && bad == nil && whole {
			return id
		}
		if time.Now().After(end) {
			return 0
		}
	}
}
