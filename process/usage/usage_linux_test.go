package usage

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMeminfo(t *testing.T) {
	t.Parallel()
	got, err := meminfo([]byte("MemTotal:       24682416 kB\nMemFree:  1 kB\nMemAvailable:   23897624 kB\nBuffers: 1 kB\n"))
	if want := (Memory{24682416 << 10, 23897624 << 10}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"", "MemTotal: 1 kB\n", "MemTotal: x kB\nMemAvailable: 5 kB\n"} {
		if got, err := meminfo([]byte(text)); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

// TestHoles is a file that says it is larger than what it occupies.
func TestHoles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got, _ := Disk(root, time.Minute); got > 1<<20 {
		t.Errorf("got %d bytes", got)
	}
}

// TestPipe is a named pipe that took the place of a directory when that had been
// seen: nobody writes to it.
func TestPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	walked := make(chan bool, 1)
	go func() {
		w := walk{root: root, deadline: time.Now().Add(time.Hour), whole: true}
		w.directory("pipe", 0)
		walked <- w.whole
	}()
	select {
	case whole := <-walked:
		if whole {
			t.Error("a pipe was looked through")
		}
	case <-time.After(time.Minute):
		t.Fatal("still waiting")
	}
}
