//go:build unix

package cache_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhatIsNotKeptOfACache(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	j := newJob(t)
	w := lease(t, s, "a", j)
	j.write("cache/tool", "x")
	j.write("cache/locked/file", "x")
	in := func(name string) string { return filepath.Join(j.dir, "cache", name) }
	err := errors.Join(
		os.Chmod(in("tool"), 0o755|os.ModeSetuid|os.ModeSetgid),
		os.Mkdir(in("shared"), 0o755), os.Chmod(in("shared"), 0o777|os.ModeSetgid|os.ModeSticky),
		unix.Mkfifo(in("pipe"), 0o600),
		os.Chmod(in("locked"), 0), os.Chmod(in("."), 0o500),
	)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(in("."), 0o700), unix.Mknod(in("device"), unix.S_IFCHR|0o666, 1<<8|3), os.Chmod(in("."), 0o500)); err != nil {
			t.Fatal(err)
		}
	}
	keep(t, w, j)
	lease(t, s, "a", j)
	for name, want := range map[string]os.FileMode{
		"tool": 0o755, "shared": os.ModeDir | os.ModeSticky | 0o777, "locked": os.ModeDir | 0o700, ".": os.ModeDir | 0o700,
	} {
		if info, err := os.Lstat(in(name)); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	for _, name := range []string{"pipe", "device"} {
		if _, err := os.Lstat(in(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

func TestSocketsAreNotKept(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	dir, err := os.MkdirTemp("", "s") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	j := newJobIn(t, dir)
	w := lease(t, s, "a", j)
	listener, err := net.Listen("unix", filepath.Join(dir, "cache/socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	keep(t, w, j)
	lease(t, s, "a", j)
	if got := j.files("cache"); len(got) > 0 {
		t.Errorf("kept is %v", got)
	}
}
