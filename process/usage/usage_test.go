package usage

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	t.Parallel()
	held := make([]byte, 64<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	s := Of(map[int]bool{os.Getpid(): true, 1 << 30: true})
	runtime.KeepAlive(held)
	if s.Processes != 1 || len(s.Each) != 1 || s.Each[0].PID != os.Getpid() || s.Each[0].Name == "" {
		t.Errorf("got %+v", s)
	}
	if s.Memory < 64<<20 || s.Memory > 2<<30 || s.Each[0].Memory != s.Memory {
		t.Errorf("got %d bytes, want more than 64 MiB", s.Memory)
	}
	if s.User+s.System <= 0 || s.User+s.System > time.Hour {
		t.Errorf("got %v and %v", s.User, s.System)
	}
	if none := Of(nil); none.Memory != 0 || none.Processes != 0 {
		t.Errorf("got %+v of nothing", none)
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	m, err := Machine()
	if err != nil || m.Total < 64<<20 || m.Available <= 0 || m.Available > m.Total || m.Used() != m.Total-m.Available {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0.00 KiB", 1: "0.00 KiB", 10: "0.01 KiB", 1536: "1.50 KiB", 1 << 20: "1.00 MiB", 512 << 20: "512.00 MiB", 1 << 40: "1024.00 GiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	empty, whole := Disk(root, time.Minute)
	if !whole {
		t.Error("an empty directory was not looked through")
	}
	for _, name := range []string{"x", "a/x", "a/b/x"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(os.TempDir(), filepath.Join(dir, "a", "out")); err != nil {
		t.Log(err) // takes a right on some systems
	}
	got, whole := Disk(root, time.Minute)
	if used := got - empty; used < 3<<20 || used > 3<<20+64<<10 || !whole {
		t.Errorf("got %d bytes, %v; want 3 MiB", used, whole)
	}
	if _, whole := Disk(root, -1); whole {
		t.Error("a walk without time says that it is whole")
	}
	if err := os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", deepest+1)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, whole := Disk(root, time.Minute); whole {
		t.Error("a walk that did not go down all the way says that it is whole")
	}
}
