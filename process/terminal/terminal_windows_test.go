package terminal_test

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/terminal"
)

// TestProgramInATerminal types into cmd, and has it end.
func TestProgramInATerminal(t *testing.T) {
	t.Parallel()
	term, err := terminal.Open(terminal.Size{Rows: 10, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if err := term.Resize(terminal.Size{Rows: 30, Cols: 120}); err != nil {
		t.Skipf("pseudo consoles are not complete here, as in Wine: %v", err)
	}
	results := make(chan process.Result, 1)
	go func() {
		c := process.Command{Argv: []string{"cmd.exe", "/q"}, Dir: t.TempDir(), Env: os.Environ(), Terminal: term, Grace: time.Second}
		result, err := c.Run(t.Context())
		if err != nil {
			t.Error(err)
		}
		term.Release()
		results <- result
	}()
	if _, err := io.WriteString(term, "set /a 6*7000\rexit 3\r"); err != nil {
		t.Error(err)
	}
	shown, err := io.ReadAll(term)
	if err != nil || !strings.Contains(string(shown), "42000") {
		t.Errorf("shown was %q, %v", shown, err)
	}
	if got := (<-results).ExitCode; got != 3 {
		t.Errorf("the exit code is %d", got)
	}
}
