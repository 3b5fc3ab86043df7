//go:build unix

package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		script string
		code   int
		signal string
	}{
		{"exit 0", 0, ""},
		{"exit 1", 1, ""},
		{"exit 2", 2, ""},
		{"exit 7", 7, ""},
		{"exit 42", 42, ""},
		{"exit 126", 126, ""},
		{"exit 127", 127, ""},
		{"exit 128", 128, ""},
		{"exit 129", 129, ""},
		{"exit 137", 137, ""},
		{"exit 200", 200, ""},
		{"exit 255", 255, ""},
		{"exit 256", 0, ""},
		{"kill -HUP $$", 129, "hangup"},
		{"kill -INT $$", 130, "interrupt"},
		{"kill -ABRT $$", 134, "aborted"},
		{"kill -KILL $$", 137, "killed"},
		{"kill -USR1 $$", 138, "user defined signal 1"},
		{"kill -SEGV $$", 139, "segmentation fault"},
		{"kill -PIPE $$", 141, "broken pipe"},
		{"kill -TERM $$", 143, "terminated"},
		{"nosuchprogram-anywhere", 127, ""},
		{"exec ./notexecutable", 126, ""},
	}
	dir := t.TempDir()
	write(t, dir, "notexecutable", "text", 0o644)
	for _, test := range tests {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			c := shell(dir, test.script)
			res, err := c.Run(t.Context())
			if err != nil || res.ExitCode != test.code || !strings.EqualFold(res.Signal, test.signal) || res.Killed != nil {
				t.Errorf("got %+v, %v; want exit code %d and signal %q", res, err, test.code, test.signal)
			}
		})
	}
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "text", "just text\n", 0o644)
	write(t, dir, "binary", "\x00\x01\x02\x03 no program", 0o755)
	write(t, dir, "orphan", "#!/no/such/interpreter\n", 0o755)
	write(t, dir, "bin/refused", "#!/bin/sh\n", 0o644)
	write(t, dir, "bin/found", "#!/bin/sh\n", 0o755)
	path := []string{"PATH=bin:/nowhere"}
	tests := []struct {
		name string
		cmd  Command
		code int
		is   error
	}{
		{"empty", Command{Dir: dir}, 127, nil},
		{"not in PATH", Command{Argv: []string{"missing"}, Dir: dir, Env: path}, 127, fs.ErrNotExist},
		{"not executable in PATH", Command{Argv: []string{"refused"}, Dir: dir, Env: path}, 126, fs.ErrPermission},
		{"no such path", Command{Argv: []string{"./missing"}, Dir: dir}, 127, fs.ErrNotExist},
		{"below a file", Command{Argv: []string{"./text/missing"}, Dir: dir}, 127, syscall.ENOTDIR},
		{"not executable", Command{Argv: []string{"./text"}, Dir: dir}, 126, syscall.EACCES},
		{"directory", Command{Argv: []string{"./bin"}, Dir: dir}, 126, syscall.EACCES},
		{"exec format error", Command{Argv: []string{"./binary"}, Dir: dir}, 126, syscall.ENOEXEC},
		{"no interpreter", Command{Argv: []string{"./orphan"}, Dir: dir}, 126, fs.ErrNotExist},
		{"NUL in an argument", Command{Argv: []string{"true", "a\x00b"}, Dir: dir}, 126, nil},
		{"NUL in the environment", Command{Argv: []string{"true"}, Dir: dir, Env: []string{"A=\x00"}}, 126, nil},
		{"too long", Command{Argv: []string{"/bin/sh", strings.Repeat("x", 16<<20)}, Dir: dir}, 126, syscall.E2BIG},
		{"no directory", Command{Argv: []string{"/bin/sh"}, Dir: dir + "/missing"}, -1, fs.ErrNotExist},
		{"directory is a file", Command{Argv: []string{"/bin/sh"}, Dir: dir + "/text"}, -1, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			res, err := test.cmd.Run(t.Context())
			start, ok := errors.AsType[*StartError](err)
			if !ok || start.ExitCode != test.code || res.ExitCode != -1 {
				t.Fatalf("got %+v, %v; want a StartError with code %d", res, err, test.code)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got %v, want it to wrap %v", err, test.is)
			}
			if len(err.Error()) > 400 {
				t.Errorf("the message is %d bytes long", len(err.Error()))
			}
		})
	}
	for where, c := range map[string]Command{
		"PATH":                 {Argv: []string{"found"}, Dir: dir, Env: path},
		"PATH of this process": {Argv: []string{"sh", "-c", "exit 0"}, Dir: dir, Env: path},
	} {
		if res, err := c.Run(t.Context()); err != nil || res.ExitCode != 0 {
			t.Errorf("a program found in %s: got %+v, %v", where, res, err)
		}
	}
}

// TestBusy is a program that is open for writing, until the command has been
// tried.
func TestBusy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip(err)
	}
	write(t, dir, "busy", string(program), 0o755)
	f, err := os.OpenFile(filepath.Join(dir, "busy"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := Command{Argv: []string{"./busy"}, Dir: dir}
	_, err = c.Run(t.Context())
	if start, ok := errors.AsType[*StartError](err); !ok || start.ExitCode != 126 || !errors.Is(err, syscall.ETXTBSY) {
		t.Errorf("got %v, want %v", err, syscall.ETXTBSY)
	}
	time.AfterFunc(busyPause/2, func() { _ = f.Close() })
	if res, err := c.Run(t.Context()); err != nil || res.ExitCode != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
}

func write(t *testing.T, dir, name, text string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
