package keyrepo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/filelock"
)

const lockName = "lock"

// lock takes the store for this process, without waiting. The operating system
// gives the lock back when the process ends, in whatever way, so a lock that
// somebody has is never that of a dead process, and what stands in the file is
// for people. The file stays: to delete it would let two processes hold locks on
// two files of the same name.
func lock(dir string) (release func() error, err error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = filelock.Lock(file)
	if errors.Is(err, filelock.ErrHeld) {
		err = fmt.Errorf("%w%s; wait until it is done", ErrBusy, holder(file))
	}
	if err == nil {
		err = note(file, fmt.Sprintf("process %d since %s\n", os.Getpid(), time.Now().UTC().Format(time.RFC3339)))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error { return errors.Join(note(file, ""), filelock.Unlock(file), file.Close()) }, nil
}

func note(file *os.File, text string) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// holder says who has the lock, as far as that has been written.
func holder(file *os.File) string {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 80))
	who, whole := strings.CutSuffix(string(text), "\n")
	if err != nil || !whole {
		return ""
	}
	return ": " + who
}
