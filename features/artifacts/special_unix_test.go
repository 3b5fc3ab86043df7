//go:build unix

package artifacts

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
)

// Whatever an entry includes and is not published is listed with its reason.
func TestNothingIsLostSilently(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.write(t, "out/ordinary", "O")
	s.write(t, "out/late.log", "L")
	s.write(t, "out/line\nbreak", "B")
	s.write(t, "out/caf\u00e9", "C")
	s.write(t, "out/bad\xff", "B")
	s.write(t, "out/huge", strings.Repeat("x", 2000))
	s.write(t, "folder/file", "F")
	if err := syscall.Mkfifo(filepath.Join(s.dir, "out", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(s.dir, "out", "s")})
	if err != nil {
		t.Skipf("the path is too long for a socket: %v", err)
	}
	defer socket.Close()
	for link, target := range map[string]string{"zero": "/dev/zero", "away": "/etc/hostname", "gone": "nowhere", "folder": "../folder", "round": "round"} {
		if err := os.Symlink(target, filepath.Join(s.dir, "out", link)); err != nil {
			t.Fatal(err)
		}
	}
	s.run.Reserved = func(name string) bool { return name == "public/late.log" }
	got := s.finish(t, Config{MaxBytes: 1000}, directory("out", "public"), optional(file("nothing", "public/nothing")))
	if task.ResolutionOf(got) != task.Failed {
		t.Errorf("got %v", got)
	}
	_, list, _ := strings.Cut(tasktest.Logged(t, s.run), "Not published, 13:\n")
	list, _, _ = strings.Cut(list, "\n[taskcluster:error]")
	var rows []string
	for line := range strings.Lines(list) {
		_, row, _ := strings.Cut(line, "] ")
		rows = append(rows, strings.Join(strings.Fields(row), " "))
	}
	want := []string{
		"not published reason",
		"out/away it is outside the task directory",
		`"out/bad\xff" artifact name "public/bad\xff" has '\ufffd' in it; ` + onlyASCII,
		`out/café artifact name "public/café" has '\u00e9' in it; ` + onlyASCII,
		"out/gone no such file or directory",
		"out/huge with it the artifacts of the task have more than 1000 bytes; leave out what is not needed, or ask the pool's owner for more (artifactLimits)",
		`"out/line\nbreak" artifact name "public/line\nbreak" has '\n' in it; ` + onlyASCII,
		"nothing no such file or directory (optional)",
		"out/pipe it is not a regular file but a named pipe",
		"out/round too many symbolic links",
		"out/s it is not a regular file but a socket",
		"out/zero it is outside the task directory",
		"out/folder it is a symbolic link to a directory, which is not followed",
		"out/late.log the name public/late.log belongs to a feature of this task",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("%s\n%s", diff, tasktest.Logged(t, s.run))
	}
}

const onlyASCII = "the queue takes only printable ASCII: give it such a name"

func TestSpecialFilesInADirectory(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.write(t, "out/ordinary", "O")
	if err := syscall.Mkfifo(filepath.Join(s.dir, "out", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(s.dir, "out", "zero")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.finish(t, Config{Absolute: true}, directory("out", "public")) }()
	select {
	case err := <-done:
		if task.ResolutionOf(err) != task.Failed {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still waiting")
	}
	want := map[string]string{
		"public/ordinary": "O",
		"public/pipe":     "error invalid-resource-on-worker",
		"public/zero":     "error invalid-resource-on-worker",
	}
	if diff := cmp.Diff(want, s.kept(t)); diff != "" {
		t.Error(diff)
	}
}

// TestA4OddFiles: of a directory with all kinds of names, each file is
// published under the name it has, or listed with what is wrong.
func TestA4OddFiles(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	files := map[string]bool{}
	for _, odd := range []string{
		"%", "%2e%2e", "%2f", "%00", "100%", "a%20b", "+", " ", "a b", "a.", ".hidden", "...", `\`, `..\..\x`, "C:", "~", "*", "?", "#", "&", "=", ";", ":", "|",
		"<x>", `"`, "'", "`", "{}", "[]", "-rf", "\n", "\r", "\t", "\x01", "\x1b[2J", "\x7f", "\xff\xfe", "\xc3", "caf\u00e9", "cafe\u0301", "\u202e", "\u200b",
		"\ufeff", "\u65e5\u672c", "\U0001f600", "CON", "[taskcluster:error] forged", "\r[taskcluster 2031-01-31T12:00:00.000Z] forged",
		strings.Repeat("n", 240), strings.Repeat("\u00e9", 120),
	} {
		for _, name := range []string{odd, "x" + odd, odd + "y", "sub/" + odd + "/z"} {
			if err := os.MkdirAll(filepath.Join(s.dir, "out", filepath.Dir(name)), 0o700); err != nil {
				t.Fatal(err)
			}
			err := os.WriteFile(filepath.Join(s.dir, "out", name), []byte(name), 0o600)
			if errors.Is(err, syscall.EILSEQ) || errors.Is(err, syscall.EINVAL) {
				continue // this file system has no such names
			}
			if err != nil {
				t.Fatal(err)
			}
			files[name] = true
		}
	}
	err := s.finish(t, Config{}, directory("out", "public"))
	if so := task.ResolutionOf(err); so != task.Failed {
		t.Errorf("resolved %v: %v", so, err)
	}
	kept, log := s.kept(t), tasktest.Logged(t, s.run)
	published := 0
	for name := range files {
		content, ok := kept["public/"+name]
		listed := strings.Contains(log, "cannot publish "+artifact.Printable("out/"+name)+":")
		if ok == listed || ok && content != name {
			t.Errorf("%q is published: %v, listed: %v, has %q", name, ok, listed, content)
		}
		if ok {
			published++
		}
	}
	if len(kept) != published || published < 50 || len(files)-published < 50 {
		t.Errorf("of %d files %d are published as %d", len(files), published, len(kept))
	}
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "[taskcluster") || strings.ContainsAny(line, "\r\x1b\x01") {
			t.Errorf("the log has the line %q", line)
		}
	}
}
