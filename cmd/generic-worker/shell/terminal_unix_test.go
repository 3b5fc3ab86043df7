//go:build unix

package shell

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/terminal"
)

// TestInATerminal is a person at a terminal, who finds it as it was.
func TestInATerminal(t *testing.T) {
	t.Parallel()
	resize := make(chan terminal.Size, 1)
	for name, row := range map[string]struct {
		serve func(t *testing.T, conn *websocket.Conn)
		types string
		want  string // of the exit code
	}{
		"exit": {func(t *testing.T, conn *websocket.Conn) {
			if got := receive(t, conn); got != "\x02\x0a\x00\x14\x00" {
				t.Errorf("the first message is %q", got)
			}
			tell(t, conn, "ready")
			if got := receive(t, conn); got != "\x01a\x03\r" {
				t.Errorf("typed was %q", got)
			}
			resize <- terminal.Size{Rows: 300, Cols: 2}
			if got := receive(t, conn); got != "\x02\x2c\x01\x02\x00" {
				t.Errorf("the new size is %q", got)
			}
			_ = conn.Close(websocket.StatusNormalClosure, "")
		}, "a\x03\r", "0"},
		"leave": {func(t *testing.T, conn *websocket.Conn) {
			receive(t, conn)
			tell(t, conn, "ready")
			_ = conn.CloseRead(t.Context())
			<-t.Context().Done()
		}, "~.", "0"},
		"broken off": {func(t *testing.T, conn *websocket.Conn) {
			receive(t, conn)
			tell(t, conn, "ready")
			receive(t, conn)
		}, "x", "11"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, id := running(t, worker(t, row.serve))
			term, err := terminal.Open(terminal.Size{Rows: 10, Cols: 20})
			if err != nil {
				t.Fatal(err)
			}
			defer term.Close()
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			c := process.Command{
				Argv: []string{"sh", "-c", `before=$(stty -g); "$0" "$1"; echo "code $?"; test "$before" = "$(stty -g)" && echo unchanged`, program, id},
				Dir:  t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH"), helper + "=" + root}, Terminal: term, Grace: time.Second,
			}
			ended := make(chan error, 1)
			go func() {
				_, err := c.Run(t.Context())
				term.Release()
				ended <- err
			}()
			shown := ""
			for buffer := make([]byte, 100); !strings.Contains(shown, "ready"); {
				n, err := term.Read(buffer)
				shown += string(buffer[:n])
				if err != nil {
					t.Fatalf("%v, after %q", err, shown)
				}
			}
			if _, err := io.WriteString(term, row.types); err != nil {
				t.Fatal(err)
			}
			if name == "exit" {
				if err := term.Resize(<-resize); err != nil {
					t.Error(err)
				}
			}
			rest, err := io.ReadAll(term)
			shown += string(rest)
			if err != nil || !regexp.MustCompile(`code `+row.want+`\r\nunchanged\r\n$`).MatchString(shown) {
				t.Errorf("%v; shown was %q", err, shown)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
