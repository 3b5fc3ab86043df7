package unpack_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

// A full disk is the machine's fault and no archive's.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,nr_inodes=100"); err != nil {
		t.Skipf("a small file system cannot be mounted by this user: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	large := text("large", strings.Repeat("x", 5<<20))
	var many []item
	for n := range 200 {
		many = append(many, text("d/"+strings.Repeat("n", n+1), "x"))
	}
	for name, items := range map[string][]item{"bytes": {large}, "inodes": many} {
		for _, format := range unpack.Formats() {
			p := newPlace(t)
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			p.root = root
			content, ok := makeArchive(t, format, items)
			if !ok {
				t.Fatalf("%s cannot have %s", format, name)
			}
			_, err = p.archive(t.Context(), format, content, unpack.Limits{})
			if _, own := errors.AsType[*unpack.Error](err); own || !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%s, no %s: error %v, want ENOSPC as it is", format, name, err)
			}
			for _, left := range []string{"large", "d"} {
				if err := root.RemoveAll(left); err != nil {
					t.Error(err)
				}
			}
			root.Close()
		}
	}
}
