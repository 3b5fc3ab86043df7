//go:build unix

package platform

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/trash"
)

// mutations are what a task may do to its own directory; $VICTIM is a
// directory that is none of its business.
var mutations = map[string]string{
	"deletes its directory":              `rm -rf "$DIR"`,
	"moves it to a sibling":              `mv "$DIR" "$DIR.moved"`,
	"moves it far away":                  `mv "$DIR" "$ELSEWHERE/moved"`,
	"moves it away, and deep":            `for i in $(seq 100); do mkdir d && cd d && touch f; done; mv "$DIR" "$ELSEWHERE/moved"`,
	"puts a link in its place":           `mv "$DIR" "$ELSEWHERE/moved" && ln -s "$VICTIM" "$DIR"`,
	"puts a file in its place":           `rm -rf "$DIR" && echo x > "$DIR"`,
	"puts another directory there":       `mv "$DIR" "$ELSEWHERE/moved" && mkdir -p "$DIR/other/sub" && touch "$DIR/other/file"`,
	"locks it":                           `mkdir -p a/b && touch a/b/c && chmod 000 a/b a && chmod 000 "$DIR"`,
	"links out of it":                    `ln -s "$VICTIM" dir && ln -s "$VICTIM/file" file && mkdir sub && ln -s ../../../../../../../../"$VICTIM" sub/up && ln -s / root`,
	"links in circles":                   `mkdir a && ln -s .. a/up && ln -s a b && ln -s c c`,
	"links hard":                         `ln "$VICTIM/file" hard`,
	"deletes the trash":                  `rm -rf "$DIR/../.trash"`,
	"puts a link in place of the trash":  `rm -rf "$DIR/../.trash" && ln -s "$VICTIM" "$DIR/../.trash"`,
	"puts a file in place of the trash":  `rm -rf "$DIR/../.trash" && echo x > "$DIR/../.trash"`,
	"locks the trash":                    `mkdir -p "$DIR/../.trash" && chmod 000 "$DIR/../.trash"`,
	"leaves a pipe":                      `mkfifo pipe`,
	"moves the whole of tasksDir around": `cd "$DIR/.." && mkdir -p task_b_0 && mv task_a_0 task_b_0/ && mkdir task_a_0`,
}

func manifest(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(content)
		}
		lines = append(lines, fmt.Sprintln(path, info.Mode(), text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestWhateverATaskDoesToItsDirectory(t *testing.T) {
	t.Parallel()
	for what, script := range mutations {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			victim, elsewhere, dir := filepath.Join(top, "victim"), filepath.Join(top, "elsewhere"), filepath.Join(top, "tasks")
			write(t, filepath.Join(victim, "file"), "precious")
			write(t, filepath.Join(victim, "sub", "file"), "precious")
			write(t, filepath.Join(dir, "cache", "file"), "precious")
			write(t, filepath.Join(elsewhere, "file"), "precious")
			before := append(manifest(t, victim), manifest(t, filepath.Join(dir, "cache"))...)

			engine, log := startEngine(t, dir)
			session := openSession(t, engine, "task_a_0")
			write(t, filepath.Join(session.Dir, "own", "file"), "x")
			shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
			shell.Dir = session.Dir
			shell.Env = append(os.Environ(), "DIR="+session.Dir, "VICTIM="+victim, "ELSEWHERE="+elsewhere)
			if out, err := shell.CombinedOutput(); err != nil {
				t.Fatalf("the script ended with %v: %s", err, out)
			}
			if _, err := session.Command([]string{"true"}, nil); err != nil {
				t.Error(err)
			}
			if err := session.Close(t.Context()); err != nil {
				t.Error(err)
			}
			again := openSession(t, engine, "task_a_0")
			if left := list(t, again.Dir); len(left) > 0 {
				t.Errorf("the next task finds %q", left)
			}
			if err := again.Close(t.Context()); err != nil {
				t.Error(err)
			}
			closeEngine(t, engine)

			after := append(manifest(t, victim), manifest(t, filepath.Join(dir, "cache"))...)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("something else changed:\n%s", diff)
			}
			for _, moved := range []string{filepath.Join(elsewhere, "moved"), session.Dir + ".moved", filepath.Join(dir, trash.Name)} {
				if entries, err := os.ReadDir(moved); err == nil && len(entries) > 0 {
					t.Errorf("%s still holds %q\n%s", moved, entries, log)
				}
			}
		})
	}
}

func TestCloseWhileSomebodySwapsTheDirectory(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	victim, dir := filepath.Join(top, "victim"), filepath.Join(top, "tasks")
	write(t, filepath.Join(victim, "task_a_0", "file"), "precious")
	before := manifest(t, victim)
	engine, _ := startEngine(t, dir)
	loop, stop := context.WithCancel(t.Context())
	swapper := exec.CommandContext(loop, "/bin/sh", "-c", `while :; do
		mv task_a_0 x 2>/dev/null; ln -s "$VICTIM" task_a_0 2>/dev/null; rm -f task_a_0 2>/dev/null
		ln -s "$VICTIM" .trash 2>/dev/null; mv x task_a_0 2>/dev/null; done`)
	swapper.Dir = dir
	swapper.Env = append(os.Environ(), "VICTIM="+victim)
	if err := swapper.Start(); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		session, err := engine.Open(t.Context(), "task_a_0")
		if err != nil {
			continue // it may be swapped at any moment; only the victim counts
		}
		_ = session.Root.MkdirAll("a/b/c", 0o700)
		_ = session.Close(t.Context())
	}
	stop()
	_ = swapper.Wait()
	closeEngine(t, engine)
	if diff := cmp.Diff(before, manifest(t, victim)); diff != "" {
		t.Errorf("something else changed:\n%s", diff)
	}
}

// The superuser may do what others may not: delete in a directory without
// rights, for one. So the same tests run as an ordinary user.
func TestAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user; the other tests ran as an ordinary one")
	}
	const nobody = 65534
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied, tmp := filepath.Join(dir, "platform.test"), filepath.Join(dir, "tmp")
	for _, err := range []error{os.WriteFile(copied, program, 0o755), os.Mkdir(tmp, 0o700), os.Chown(tmp, nobody, nobody), os.Chmod(filepath.Dir(dir), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, copied, "-test.run", "^(TestTrashEmptiesItself|TestWhateverATaskDoesToItsDirectory)$", "-test.v")
	command.Dir = tmp
	command.Env = []string{"TMPDIR=" + tmp, "PATH=" + os.Getenv("PATH")}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestTrashEmptiesItself") {
		t.Errorf("as user %d: %v\n%s", nobody, err, out)
	}
}
