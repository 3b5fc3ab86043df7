package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/trash"
)

// Rows are ways to leave what even root cannot delete; each returns how to
// undo it.
var undeletable = map[string]func(t *testing.T, dir string) (undo func()){
	"immutable file": func(t *testing.T, dir string) func() {
		path := filepath.Join(dir, "sub", "file")
		write(t, path, "x")
		setImmutable(t, path, true)
		return func() { setImmutable(t, path, false) }
	},
	"mounted file system": func(t *testing.T, dir string) func() {
		return mountAt(t, "tmpfs", filepath.Join(dir, "sub"), "tmpfs", 0)
	},
	"bind mount of the same file system": func(t *testing.T, dir string) func() {
		source := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(dir))), "victim")
		return mountAt(t, source, filepath.Join(dir, "sub"), "", unix.MS_BIND)
	},
	"mount over a file": func(t *testing.T, dir string) func() {
		source := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(dir))), "victim", "file")
		target := filepath.Join(dir, "sub", "file")
		write(t, target, "")
		return mountAt(t, source, target, "", unix.MS_BIND)
	},
}

func mountAt(t *testing.T, source, target, kind string, flags uintptr) func() {
	t.Helper()
	if _, err := os.Stat(target); err != nil {
		if err := os.MkdirAll(target, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(source, target, kind, flags, ""); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	return func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
}

// immutable is FS_IMMUTABLE_FL of linux/fs.h.
const immutable = 0x10

func setImmutable(t *testing.T, path string, on bool) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	flags, err := unix.IoctlGetInt(int(file.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		flags &^= immutable
		if on {
			flags |= immutable
		}
		err = unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, flags)
	}
	if err != nil {
		t.Skipf("needs the right to make files immutable: %v", err)
	}
}

func TestWhatCannotBeDeletedIsReportedOnceAndTriedAgain(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount and to make files immutable")
	}
	for kind, leave := range undeletable {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			dir := filepath.Join(top, "tasks", "all")
			write(t, filepath.Join(top, "victim", "file"), "precious")
			engine, log := startEngine(t, dir)
			session := openSession(t, engine, "task_a_0")
			for _, name := range []string{"a", "z"} {
				write(t, filepath.Join(session.Dir, name, "file"), "x")
			}
			undo := leave(t, session.Dir)
			if err := session.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			// Others are deleted all the same.
			other := openSession(t, engine, "task_b_0")
			write(t, filepath.Join(other.Dir, "file"), "x")
			if err := other.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			closeEngine(t, engine)

			left := list(t, filepath.Join(dir, trash.Name))
			if len(left) != 1 {
				t.Fatalf("the trash holds %q", left)
			}
			if rest := list(t, filepath.Join(dir, trash.Name, left[0])); len(rest) != 1 || rest[0] != "sub" {
				t.Errorf("of what could be deleted, %q is still there", rest)
			}
			if told := strings.Count(log.String(), "cannot delete"); told != 1 || !strings.Contains(log.String(), left[0]) {
				t.Errorf("the operator was told %d times:\n%s", told, log)
			}
			if text, err := os.ReadFile(filepath.Join(top, "victim", "file")); string(text) != "precious" {
				t.Errorf("the victim holds %q, %v", text, err)
			}

			// The mount or flag moved along with the directory.
			moved := filepath.Join(dir, trash.Name, left[0])
			if err := os.Rename(moved, session.Dir); err != nil {
				t.Fatal(err)
			}
			undo()
			engine, _ = startEngine(t, dir)
			closeEngine(t, engine)
			if left := list(t, filepath.Join(dir, trash.Name)); len(left) > 0 {
				t.Errorf("after another start the trash holds %q", left)
			}
		})
	}
}
