package process

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

// beside is a command that runs while something is done to another one. Its
// descendant has left the session, and both are known by nothing but their mark
// and their marker.
type beside struct {
	dir  string
	stop func()
	end  chan error
}

// runBeside returns when the command and its descendant are running.
func runBeside(t *testing.T, marker string) *beside {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	ready := make(chan struct{})
	b := &beside{dir: dir, stop: func() { cancel(errStop) }, end: make(chan error, 1)}
	c := Command{
		Argv: []string{self(), "parent", dir, "daemon", "stay"}, Dir: dir, Env: probeEnv(),
		Output: &await{text: "ready", ready: func() { close(ready) }}, Marker: marker,
	}
	go func() {
		_, err := c.run(ctx, limits{patience: patience})
		b.end <- err
	}()
	select {
	case <-ready:
	case err := <-b.end:
		t.Fatal(err)
	}
	return b
}

// check wants the command to be untouched, and ends it.
func (b *beside) check(t *testing.T) {
	t.Helper()
	select {
	case err := <-b.end:
		t.Errorf("the other command was ended: %v", err)
		return
	default:
	}
	if !survivors(b.dir) {
		t.Error("a descendant of the other command was killed")
	}
	b.stop()
	if err := <-b.end; !errors.Is(err, errStop) {
		t.Errorf("the other command ended with %v", err)
	}
	if survivors(b.dir) {
		t.Error("a descendant of the other command survived its end")
	}
}

// TestStartHeldBack has one start take longer than others wait for it. What
// they start meanwhile must not be taken for a part of it.
func TestStartHeldBack(t *testing.T) {
	t.Parallel()
	var during *beside
	held := new(tree)
	attr := &os.ProcAttr{Env: probeEnv(), Files: []*os.File{nil, nil, nil}, Sys: &syscall.SysProcAttr{Setsid: true}}
	err := held.launch(func() error {
		began := time.Now()
		during = runBeside(t, "HELD=during")
		for range 10 {
			c := shell("/", ":")
			if _, err := c.run(t.Context(), limits{patience: patience}); err != nil {
				t.Error(err)
			}
		}
		if waited := time.Since(began); waited > 5*time.Second {
			t.Errorf("others waited %v for a start", waited)
		}
		p, err := os.StartProcess(self(), []string{self(), "sleep"}, attr)
		if err == nil {
			held.main, held.pid = p, p.Pid
		}
		return err
	}, &Command{Marker: "HELD=back"}, attr, limits{})
	if err != nil {
		t.Fatal(err)
	}
	held.watch()
	after := runBeside(t, "HELD=after")
	if got := theHost().marks.Of(held.pid); got != held.mark || got == 0 {
		t.Errorf("the command held back has mark %x, want %x", got, held.mark)
	}
	end := ending{cause: errStop}
	end.clear(held, 0, patience)
	if _, err := end.report(held, time.Now(), nil); !errors.Is(err, errStop) {
		t.Error(err)
	}
	if len(end.killed) != 1 {
		t.Errorf("killed %q, want the command held back and nothing else", end.killed)
	}
	during.check(t)
	after.check(t)
}

// TestNobodyElsesFirst takes the marks off a command, which leaves it one that
// it shares with another, and ends that other.
func TestNobodyElsesFirst(t *testing.T) {
	t.Parallel()
	marker := "PROCESS_TEST=" + t.TempDir()
	one := runBeside(t, marker)
	two := runBeside(t, marker)
	unmark(t, two.dir)
	one.stop()
	if err := <-one.end; !errors.Is(err, errStop) {
		t.Error(err)
	}
	select {
	case err := <-two.end:
		t.Errorf("the other command was ended: %v", err)
	default:
	}
	two.stop()
	if err := <-two.end; !errors.Is(err, errStop) {
		t.Errorf("the other command ended with %v", err)
	}
}

// unmark makes the first process of the command in dir one without a mark.
func unmark(t *testing.T, dir string) {
	t.Helper()
	for _, e := range new(table.Reader).Read() {
		if at, err := os.Readlink("/proc/" + strconv.Itoa(e.PID) + "/cwd"); err != nil || at != dir || e.Parent != os.Getpid() || e.Session != e.PID {
			continue
		}
		none := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		if err := unix.Prlimit(e.PID, unix.RLIMIT_RTTIME, &none, nil); err != nil {
			t.Fatal(err)
		}
	}
}
