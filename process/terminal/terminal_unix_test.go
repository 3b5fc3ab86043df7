//go:build unix

package terminal_test

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/terminal"
)

// start runs a shell script in a terminal and returns the terminal, what ends
// it, and where its result comes.
func start(t *testing.T, script string) (*terminal.Terminal, context.CancelFunc, <-chan process.Result) {
	t.Helper()
	term, err := terminal.Open(terminal.Size{Rows: 10, Cols: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(term.Close(), term.Close()); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	results := make(chan process.Result, 1)
	go func() {
		c := process.Command{
			Argv: []string{"sh", "-c", script}, Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH")},
			Terminal: term, Grace: time.Minute,
		}
		result, err := c.Run(ctx)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		term.Release()
		results <- result
	}()
	return term, cancel, results
}

// until reads until the text matches.
func until(t *testing.T, term io.Reader, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var seen strings.Builder
	buffer := make([]byte, 100)
	for !re.MatchString(seen.String()) {
		n, err := term.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%v; read %q, without %s", err, seen.String(), pattern)
		}
	}
	return seen.String()
}

func TestProgramInATerminal(t *testing.T) {
	t.Parallel()
	term, _, results := start(t, `tty; stty size; read line; echo "got $line"; stty size
		test -t 0 && test -t 1 && test -t 2 && echo three
		sh -c 'echo controlled >/dev/tty'
		i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo "line $i"; done; exit 3`)
	until(t, term, `^/dev/.*\r\n10 20\r\n`)
	if err := term.Resize(terminal.Size{Rows: 30, Cols: 400}); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(term, "hello\n"); err != nil {
		t.Error(err)
	}
	until(t, term, `hello\r\ngot hello\r\n30 400\r\nthree\r\ncontrolled\r\n`)
	rest, err := io.ReadAll(term)
	if err != nil || !strings.HasSuffix(string(rest), "line 999\r\nline 1000\r\n") {
		t.Errorf("the end is %q, %v", rest, err)
	}
	if got := (<-results).ExitCode; got != 3 {
		t.Errorf("the exit code is %d", got)
	}
}

// TestHangUp closes the terminal of a program that ignores requests to end,
// with somebody waiting to read and somebody to write.
func TestHangUp(t *testing.T) {
	t.Parallel()
	term, cancel, results := start(t, `trap "" TERM; stty raw; echo ready; sleep 100`)
	until(t, term, `ready`)
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(io.Discard, term)
		ended <- err
	}()
	go func() {
		for {
			if _, err := term.Write(make([]byte, 1<<20)); err != nil {
				ended <- nil
				return
			}
		}
	}()
	began := time.Now()
	term.HangUp()
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	result := <-results
	if took := time.Since(began); took > 30*time.Second || len(result.Killed) > 0 {
		t.Errorf("it took %v and %q were killed", took, result.Killed)
	}
	if err := term.Resize(terminal.Size{Rows: 1, Cols: 1}); err == nil {
		t.Error("a closed terminal is resized")
	}
}

// TestProgramThatDoesNotStart leaves the terminal to be closed.
func TestProgramThatDoesNotStart(t *testing.T) {
	t.Parallel()
	term, err := terminal.Open(terminal.Size{})
	if err != nil {
		t.Fatal(err)
	}
	c := process.Command{Argv: []string{"no such program"}, Terminal: term}
	result, err := c.Run(t.Context())
	if start, ok := errors.AsType[*process.StartError](err); !ok || start.ExitCode != 127 || result.ExitCode != -1 {
		t.Errorf("got %v, %v", result, err)
	}
	term.Release()
	if n, err := term.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
}
