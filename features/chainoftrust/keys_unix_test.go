//go:build unix

package chainoftrust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestKeysOpenToOthers gives key files other modes and owners.
func TestKeysOpenToOthers(t *testing.T) {
	t.Parallel()
	content := newConfig(t).Keys.Ed25519.File()
	for mode, open := range map[fs.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o620: true, 0o602: true, 0o666: true} {
		path := filepath.Join(t.TempDir(), "key")
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		err := (&Config{Ed25519Location: path}).ReadKeys()
		if (err != nil) != open || open && !strings.Contains(err.Error(), "chmod 400 it") {
			t.Errorf("%v: %v", mode, err)
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&Config{Ed25519Location: pipe}).ReadKeys(); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a pipe: %v", err)
	}
}

func TestKeysOfAnotherUser(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, newConfig(t).Keys.Ed25519.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Skipf("needs root to give a file to another user: %v", err)
	}
	if err := (&Config{Ed25519Location: path}).ReadKeys(); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("ReadKeys returned %v", err)
	}
}
