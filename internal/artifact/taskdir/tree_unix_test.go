//go:build unix

package taskdir

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

func TestOpenDoesNotWaitForSpecialFiles(t *testing.T) {
	t.Parallel()
	in := tree(t)
	in.Absolute = true
	name := in.Root.Name()
	if err := syscall.Mkfifo(filepath.Join(name, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	in.link(t, "pipe", "link-to-pipe")
	in.link(t, "/dev/zero", "zero")
	// A short path, since that of a socket is limited.
	short, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	l, err := net.Listen("unix", filepath.Join(short, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, path := range []string{"pipe", "link-to-pipe", "zero", "/dev/zero", "/dev/null", filepath.Join(short, "s"), "."} {
		result := make(chan error, 1)
		start := time.Now()
		go func() {
			_, _, err := in.Open(path)
			result <- err
		}()
		select {
		case err := <-result:
			if failure, ok := errors.AsType[*artifact.FileError](err); !ok || failure.Reason != artifact.Invalid {
				t.Errorf("%s: got %v", path, err)
			}
			t.Logf("%s: %v after %v", path, err, time.Since(start))
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: still waiting", path)
		}
	}
}

// A pipe that takes a file's place after it was looked at is opened without waiting, and refused.
func TestOpenFileDoesNotWait(t *testing.T) {
	t.Parallel()
	in := tree(t)
	if err := syscall.Mkfifo(filepath.Join(in.Root.Name(), "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		f, err := in.openFile("pipe")
		if err == nil {
			f.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still waiting")
	}
}
