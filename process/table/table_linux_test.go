package table

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 1 2"
	tests := []struct {
		line string
		want Entry
		ok   bool
	}{
		{"12 (sleep) S" + rest, Entry{12, 7, 8, 9, "sleep", 12345, false}, true},
		{"12 (a) R (b)) Z" + rest, Entry{12, 7, 8, 9, "a) R (b)", 12345, true}, true},
		{"12 (\n) X" + rest, Entry{12, 7, 8, 9, "\n", 12345, true}, true},
		{"12 (headless) Z" + strings.Replace(rest, " 20 0 1 ", " 20 0 2 ", 1), Entry{12, 7, 8, 9, "headless", 12345, false}, true},
		{"", Entry{}, false},
		{"12 (sleep", Entry{}, false},
		{"12 (sleep) S 7", Entry{}, false},
	}
	for _, test := range tests {
		got, ok := parseStat([]byte(test.line))
		if diff := cmp.Diff(test.want, got); ok != test.ok || ok && diff != "" {
			t.Errorf("%q: got ok %v, %s", test.line, ok, diff)
		}
	}
}

// TestThreadsEnviron: the first thread, which has ended, need not be the first in
// order of text.
func TestThreadsEnviron(t *testing.T) {
	t.Parallel()
	for ended, lives := range map[string]string{"31527": "1001", "1001": "31527"} {
		dir := t.TempDir()
		for thread, env := range map[string]string{ended: "", lives: "A=1\x00"} {
			task := filepath.Join(dir, "task", thread)
			if err := errors.Join(os.MkdirAll(task, 0o700), os.WriteFile(filepath.Join(task, "environ"), []byte(env), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(threadsEnviron(dir)); got != "A=1\x00" {
			t.Errorf("thread %s has ended: got %q", ended, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (a) R (b)) Z 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 1 2"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if e, ok := parseStat(line); ok && !strings.Contains(string(line), "("+e.Name+")") {
			t.Errorf("%q has no name %q", line, e.Name)
		}
	})
}
