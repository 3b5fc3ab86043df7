//go:build unix

package encryptedenv

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestS5ExposedKeys: a key that others can read or change is refused.
func TestS5ExposedKeys(t *testing.T) {
	t.Parallel()
	path := keyFile(t, pool(t))
	for _, mode := range []fs.FileMode{0o400, 0o600, 0o700, 0o500} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeys(path); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o440, 0o404, 0o644, 0o420, 0o402, 0o620, 0o602, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeys(path); err == nil || !strings.Contains(err.Error(), path+" is open to other users; chmod 400 it") {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

// TestKeyInAPipe must not wait for who writes into it.
func TestKeyInAPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeys(path); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Error(err)
	}
}
