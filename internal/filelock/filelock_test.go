package filelock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("FILELOCK_TEST_DIR"); dir != "" {
		os.Exit(holdLock(dir))
	}
	goleak.VerifyTestMain(m)
}

// holdLock is what the test binary does when it plays a worker: it prints how
// Take went, and a worker that got the lock keeps it until its standard input
// ends.
func holdLock(dir string) int {
	release, err := Take(dir, "stateDir")
	if locked, ok := errors.AsType[*HeldError](err); ok {
		fmt.Println("locked by", locked.PID)
		return 1
	}
	if err != nil {
		fmt.Println(err)
		return 2
	}
	fmt.Println("holding", os.Getpid())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := release(); err != nil {
		return 2
	}
	return 0
}

type contender struct {
	*exec.Cmd
	stdin io.Closer
	said  *bufio.Scanner
}

func contend(t *testing.T, dir string) *contender {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self)
	command.Env = append(os.Environ(), "FILELOCK_TEST_DIR="+dir)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return &contender{Cmd: command, stdin: stdin, said: bufio.NewScanner(stdout)}
}

func (c *contender) answer(t *testing.T) string {
	t.Helper()
	if !c.said.Scan() {
		t.Fatalf("a worker said nothing: %v", c.said.Err())
	}
	return c.said.Text()
}

func TestOfTwentyWorkersOneGetsTheLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all []*contender
	for range 20 {
		all = append(all, contend(t, dir))
	}
	var holders, named []string
	for _, one := range all {
		says, pid, _ := strings.Cut(one.answer(t), " ")
		if says == "holding" {
			holders = append(holders, pid)
		} else {
			named = append(named, strings.TrimPrefix(pid, "by "))
		}
	}
	if len(holders) != 1 || len(named) != 19 {
		t.Fatalf("%d workers hold the lock, %d were refused", len(holders), len(named))
	}
	for _, pid := range named {
		if pid != holders[0] {
			t.Errorf("a worker was told that %s holds the lock; it is %s", pid, holders[0])
		}
	}
	for _, one := range all {
		_ = one.stdin.Close()
		err := one.Wait()
		if exit := one.ProcessState.ExitCode(); exit != 0 && exit != 1 {
			t.Errorf("a worker ended with %v", err)
		}
	}
}

func TestLockOfADeadWorkerIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := contend(t, dir)
	if says := first.answer(t); says != fmt.Sprint("holding ", first.Process.Pid) {
		t.Fatal(says)
	}

	begin := time.Now()
	_, err := Take(dir, "stateDir")
	want := fmt.Sprintf("another generic-worker (pid %d) is working in %s; stop it, or give this one another stateDir", first.Process.Pid, dir)
	if err == nil || err.Error() != want {
		t.Errorf("a second worker got %v", err)
	}
	if took := time.Since(begin); took > pidWait {
		t.Errorf("a second worker was told after %v", took)
	}

	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	release, err := Take(dir, "stateDir")
	if err != nil {
		t.Fatalf("the lock of a dead worker was not taken over: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if release, err = Take(dir, "stateDir"); err != nil {
		t.Fatalf("a released lock was not free: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

func TestLockNeedsItsDirectory(t *testing.T) {
	t.Parallel()
	if _, err := Take(t.TempDir()+"/missing", "stateDir"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Take returned %v", err)
	}
}
