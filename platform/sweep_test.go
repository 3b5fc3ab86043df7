package platform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/trash"
)

// leftovers are what tasks leave behind.
var leftovers = map[string]func(t *testing.T, session *Session){
	"nothing": func(*testing.T, *Session) {},
	"files without rights": func(t *testing.T, s *Session) {
		for _, mode := range []os.FileMode{0, 0o100, 0o200, 0o400, 0o500} {
			dir := filepath.Join(s.Dir, fmt.Sprintf("dir%o", mode))
			write(t, filepath.Join(dir, "sub", "file"), "x")
			for _, path := range []string{filepath.Join(dir, "sub", "file"), filepath.Join(dir, "sub"), dir} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
		}
	},
	"1,200 levels": func(t *testing.T, s *Session) { deep(t, s.Root, 1200) },
	"levels that branch": func(t *testing.T, s *Session) {
		for _, name := range []string{"a", "b", "c"} {
			if err := s.Root.Mkdir(name, 0o700); err != nil {
				t.Fatal(err)
			}
			root, err := s.Root.OpenRoot(name)
			if err != nil {
				t.Fatal(err)
			}
			deep(t, root, 100)
			root.Close()
		}
	},
	"3,000 files": func(t *testing.T, s *Session) {
		for i := range 3_000 {
			file, err := s.Root.Create(fmt.Sprint("file", i))
			if err != nil {
				t.Fatal(err)
			}
			file.Close()
		}
	},
	"odd names": func(t *testing.T, s *Session) {
		names := []string{strings.Repeat("n", 255), "new\nline", " ", "-rf", "*", "a\tb", "ü", "u\u0308", "\xff\xfe", `back\slash`, "...", "~"}
		for _, name := range names {
			write(t, filepath.Join(s.Dir, name, name), "x")
		}
	},
}

// deep makes directories within each other, each with a file.
func deep(t *testing.T, root *os.Root, levels int) {
	t.Helper()
	at, err := root.OpenRoot(".")
	for range levels {
		if err != nil {
			t.Fatal(err)
		}
		var below *os.Root
		err = errors.Join(at.WriteFile("file", []byte("x"), 0o600), at.Mkdir("level", 0o700))
		if err == nil {
			below, err = at.OpenRoot("level")
		}
		at.Close()
		at = below
	}
	if err != nil {
		t.Fatal(err)
	}
	at.Close()
}

func TestTrashEmptiesItself(t *testing.T) {
	t.Parallel()
	for kind, leave := range leftovers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			engine, log := startEngine(t, dir)
			session := openSession(t, engine, "task_a_0")
			leave(t, session)
			begin := time.Now()
			if err := session.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("Close took %v", took)
			}
			if _, err := os.Lstat(session.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory is still there: %v", err)
			}
			closeEngine(t, engine)
			if left := list(t, filepath.Join(dir, trash.Name)); len(left) > 0 {
				t.Errorf("the trash still holds %q\n%s", left, log)
			}
			if log.String() != "" {
				t.Errorf("the operator was told:\n%s", log)
			}
		})
	}
}
