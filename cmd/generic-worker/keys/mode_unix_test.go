//go:build unix

package keys

import (
	"os"
	"path/filepath"
	"testing"
)

// TestModes: a private key is for its owner to read, a public one for everybody.
func TestModes(t *testing.T) {
	t.Parallel()
	dir := generated(t, "host")
	for name, want := range map[string]os.FileMode{"host.sec": 0o400, "host.pub": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
