package taskdir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

// TestS2NothingOfTheReader wants nothing of this process, whose environment may
// have credentials, in whatever way a task names it.
func TestS2NothingOfTheReader(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	held, err := os.Create(filepath.Join(t.TempDir(), "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	link, direct := filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "direct")
	if err := errors.Join(os.Symlink("/proc/self", link), os.Symlink(fdOf(held), direct)); err != nil {
		t.Fatal(err)
	}
	tree := Tree{Root: root, Absolute: true}
	paths := []string{
		"/proc/self/environ", "/proc/thread-self/environ", "/proc/self/task/../environ", "/proc/self/root/proc/self/environ",
		"/proc/self/mem", "/proc/self/cmdline", "/proc/self/fd/" + filepath.Base(fdOf(held)), "/dev/fd/" + filepath.Base(fdOf(held)), link + "/environ",
		link + "/fd/" + filepath.Base(fdOf(held)), "/proc/self/exe",
	}
	if tellsLinks() {
		paths = append(paths, direct, link+"/cwd/tree.go", link+"/root/etc/passwd")
	}
	if os.Getuid() == 0 {
		mounted := filepath.Join(root.Name(), "p")
		if err := os.Mkdir(mounted, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("proc", mounted, "proc", 0, ""); err == nil {
			defer func() { _ = unix.Unmount(mounted, 0) }()
			paths = append(paths, "p/self/environ")
		}
	}
	for _, path := range paths {
		file, _, err := tree.Open(path)
		if failure, ok := errors.AsType[*artifact.FileError](err); !ok || failure.Reason != artifact.Invalid {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			file.Close()
		}
	}
	for _, path := range []string{"/proc/self", "/proc", "/proc/self/fd", link} {
		err := tree.Walk(t.Context(), path, func(e Entry) bool {
			t.Errorf("%s has %s", path, e.Path)
			return false
		})
		if err == nil || !strings.Contains(err.Error(), "shows the worker") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func fdOf(file *os.File) string {
	entries, _ := filepath.Glob("/proc/self/fd/*")
	for _, entry := range entries {
		if name, err := os.Readlink(entry); err == nil && name == file.Name() {
			return entry
		}
	}
	return ""
}
