package process

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestFastExit is a command that prints one line and is gone.
func TestFastExit(t *testing.T) {
	t.Parallel()
	runs := 500
	if testing.Short() {
		runs = 50
	}
	for i := range runs {
		var out strings.Builder
		text := "line " + strconv.Itoa(i)
		c := Command{Argv: []string{"/bin/echo", text}, Output: &out}
		if os.PathSeparator == '\\' {
			c = Command{Argv: []string{self(), "print", text + "\n"}, Env: probeEnv(), Output: &out}
		}
		if res, err := c.Run(t.Context()); err != nil || res.ExitCode != 0 || out.String() != text+"\n" {
			t.Fatalf("run %d: got %+v, %v and %q", i, res, err, &out)
		}
	}
}

func TestMuchOutput(t *testing.T) {
	t.Parallel()
	const lines = 500_000
	var got counter
	c := Command{Argv: []string{self(), "lines", strconv.Itoa(lines)}, Env: probeEnv(), Output: &got}
	if res, err := c.Run(t.Context()); err != nil || res.ExitCode != 0 || got != 100*lines {
		t.Errorf("got %+v, %v and %d bytes, want %d", res, err, got, 100*lines)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestBadWriter has outputs that do not take what they are given. The command
// must not notice.
func TestBadWriter(t *testing.T) {
	t.Parallel()
	run := func(w io.Writer) error {
		c := Command{Argv: []string{self(), "lines", "100000"}, Env: probeEnv(), Output: w}
		res, err := c.Run(t.Context())
		if res.ExitCode != 0 {
			t.Errorf("got exit code %d", res.ExitCode)
		}
		return err
	}
	if err := run(writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })); err != nil {
		t.Errorf("writer that fails: got %v", err)
	}
	if err := run(writerFunc(func([]byte) (int, error) { panic("oops") })); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("writer that panics: got %v", err)
	}
	if err := run(nil); err != nil {
		t.Errorf("no writer: got %v", err)
	}
}
