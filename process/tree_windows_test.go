package process

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestNothingSurvives is every way to hide against every way to end.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	for _, hideout := range []string{"normal", "detached", "daemon", "holds stdout"} {
		for _, end := range []string{"exit", "cancel", "kill"} {
			t.Run(hideout+"/"+end, func(t *testing.T) {
				t.Parallel()
				testHideout(t, hideout, end)
			})
		}
	}
}

func testHideout(t *testing.T, hideout, end string) {
	hidden, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hidden.Close()
	_ = hidden.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var out strings.Builder
	c := Command{
		Argv: []string{self(), "parent", hidden.Addr().String(), hideout, "stay"}, Dir: os.TempDir(), Env: probeEnv(),
		Grace: 200 * time.Millisecond, Output: &out,
	}
	want := errStop
	switch end {
	case "exit":
		c.Argv[4], want = "exit", nil
	case "kill":
		c.Grace = 0
	}
	var res Result
	done := make(chan struct{})
	go func() {
		res, err = c.Run(ctx)
		close(done)
	}()
	conns, acceptErr := accept(hidden)
	if acceptErr != nil {
		cancel(errStop)
		<-done
		t.Fatal(acceptErr, &out, res)
	}
	conn := conns["hide"]
	defer conn.Close()
	conns["parent"].Close() // it may go on
	if end != "exit" {
		cancel(errStop)
	}
	<-done
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a descendant survived")
	}
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	if end == "exit" && (res.ExitCode != 0 || len(res.Killed) == 0) {
		t.Errorf("got %+v, want exit code 0 and a process killed", res)
	}
	if end != "exit" && res.ExitCode == 0 {
		t.Errorf("got %+v, want another exit code", res)
	}
	if res.PeakMemory == 0 && os.Getenv("WINEPREFIX") == "" {
		t.Errorf("got %+v, want a peak of memory", res)
	}
}

// accept waits for the parent and the descendant that hides, each of which
// says who it is.
func accept(l net.Listener) (map[string]net.Conn, error) {
	conns := make(map[string]net.Conn)
	for len(conns) < 2 {
		conn, err := l.Accept()
		if err != nil {
			return nil, err
		}
		name := make([]byte, 16)
		n, err := conn.Read(name)
		if err != nil {
			return nil, err
		}
		conns[string(name[:n])] = conn
	}
	return conns, nil
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for code, text := range map[int]string{0: "0", 1: "1", 3: "3", 255: "255", 256: "256", 70000: "70000"} {
		c := Command{Argv: []string{self(), "exit", text}, Env: probeEnv()}
		if res, err := c.Run(t.Context()); err != nil || res.ExitCode != code || res.Killed != nil {
			t.Errorf("exit %d: got %+v, %v", code, res, err)
		}
	}
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	text := dir + `\text.exe`
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	defer os.Remove(text)
	tests := []struct {
		name string
		cmd  Command
		code int
	}{
		{"empty", Command{}, 127},
		{"not in PATH", Command{Argv: []string{"missing"}, Env: []string{`Path=C:\nowhere`}}, 127},
		{"no such path", Command{Argv: []string{`.\missing.exe`}, Dir: dir}, 127},
		{"no program", Command{Argv: []string{text}, Dir: dir}, 126},
		{"NUL", Command{Argv: []string{"cmd", "a\x00"}}, 126},
		{"no directory", Command{Argv: []string{self()}, Dir: dir + `\missing`}, -1},
	}
	for _, test := range tests {
		res, err := test.cmd.Run(t.Context())
		if start, ok := errors.AsType[*StartError](err); !ok || start.ExitCode != test.code || res.ExitCode != -1 {
			t.Errorf("%s: got %+v, %v; want a StartError with code %d", test.name, res, err, test.code)
		}
	}
	c := Command{Argv: []string{"cmd", "/c", "exit 7"}, Env: []string{`Path=C:\nowhere;C:\windows\system32`}}
	if res, err := c.Run(t.Context()); err != nil || res.ExitCode != 7 {
		t.Errorf("found in PATH: got %+v, %v", res, err)
	}
}
