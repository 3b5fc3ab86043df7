package archtest

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is found into testdata")

// TestProject applies the rules to the project itself.
func TestProject(t *testing.T) {
	t.Parallel()
	texts, err := readTree(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := NewTree(texts)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) < 10 {
		t.Fatalf("only %d Go files found; this does not look like the project", len(tree.files))
	}
	for _, f := range tree.Check() {
		if f.Warning {
			t.Log(f)
		} else {
			t.Error(f)
		}
	}
}

// TestRules applies them to code that breaks them. Every archive in testdata
// is a tree of its own; its file "want" lists the findings.
func TestRules(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives in testdata: %v", err)
	}
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts := map[string][]byte{}
			for _, f := range archive.Files {
				texts[f.Name] = f.Data
			}
			want := string(texts["want"])
			delete(texts, "want")
			tree, err := NewTree(texts)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, f := range tree.Check() {
				fmt.Fprintln(&got, f)
			}
			if *update {
				writeWant(t, name, archive, got.String())
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func writeWant(t *testing.T, name string, archive *txtar.Archive, got string) {
	t.Helper()
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
	archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestSizes tells apart a warning and a failure for sizes too large for an
// archive.
func TestSizes(t *testing.T) {
	t.Parallel()
	header := "// Package process is long.\npackage process\n"
	body := func(lines int) string {
		return header + "\nfunc f() {\n" + strings.Repeat("\tprintln()\n", lines-2) + "}\n"
	}
	tests := map[string]struct {
		texts map[string]string
		want  []string
	}{
		"function of 60 lines":  {map[string]string{"process/a.go": body(60)}, nil},
		"function of 61 lines":  {map[string]string{"process/a.go": body(61)}, []string{"process/a.go:4: warning: lines of f: 61; better no more than 60"}},
		"function of 101 lines": {map[string]string{"process/a.go": body(101)}, []string{"process/a.go:4: lines of f: 101; no more than 100, better 60"}},
		"long test function":    {map[string]string{"process/a_test.go": body(500)}, nil},
		"file of 400 lines":     {map[string]string{"process/a.go": header + strings.Repeat("\n", 398)}, nil},
		"file of 401 lines":     {map[string]string{"process/a.go": header + strings.Repeat("\n", 399)}, []string{"process/a.go: warning: lines in the file: 401; better no more than 400"}},
		"file of 601 lines":     {map[string]string{"process/a.go": header + strings.Repeat("\n", 599)}, []string{"process/a.go: lines in the file: 601; no more than 600, better 400"}},
		"test file of 601 lines": {
			map[string]string{"process/a_test.go": header + strings.Repeat("\n", 599)},
			[]string{"process/a_test.go: warning: lines of tests: 601; better no more than 600"},
		},
		"package of 1501 lines": {
			map[string]string{
				"process/a.go": header + strings.Repeat("\n", 398), "process/b.go": header + strings.Repeat("\n", 398),
				"process/c.go": header + strings.Repeat("\n", 398), "process/d.go": header + strings.Repeat("\n", 299),
				"process/d_test.go": header + strings.Repeat("\n", 398),
			},
			[]string{"process: lines in the package for linux: 1501; no more than 1500"},
		},
		"most lines on freebsd": {
			map[string]string{
				"process/a.go": header + strings.Repeat("\n", 398), "process/b.go": header + strings.Repeat("\n", 398),
				"process/c.go": header + strings.Repeat("\n", 398), "process/d_freebsd.go": header + strings.Repeat("\n", 298),
				"process/d_linux.go": header + strings.Repeat("\n", 100), "process/d_windows.go": header + strings.Repeat("\n", 100),
				"process/d_unix.go": "//go:build unix && !linux\n\n" + header,
			},
			[]string{"process: lines in the package for freebsd: 1504; no more than 1500"},
		},
		"1500 lines on each platform": {
			map[string]string{
				"process/a.go": header + strings.Repeat("\n", 398), "process/b.go": header + strings.Repeat("\n", 398),
				"process/c.go": header + strings.Repeat("\n", 398), "process/d_freebsd.go": header + strings.Repeat("\n", 298),
				"process/d_linux.go": header + strings.Repeat("\n", 298), "process/d_windows.go": header + strings.Repeat("\n", 298),
				"process/d_other.go": "//go:build !linux && !freebsd && !windows\n\n" + header + strings.Repeat("\n", 296),
			},
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			texts := map[string][]byte{}
			for name, text := range test.texts {
				texts[name] = []byte(text)
			}
			tree, err := NewTree(texts)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range tree.Check() {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTable checks that the table itself leads downwards only.
func TestTable(t *testing.T) {
	t.Parallel()
	if err := cycle(table); err != nil {
		t.Error(err)
	}
	if cycle([]row{{folder: "a", may: []string{"b"}}, {folder: "b", may: []string{"a"}}}) == nil {
		t.Error("a table with a cycle was accepted")
	}
}

// cycle returns an error if following the table leads back to a row.
func cycle(rows []row) error {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(r row) error
	visit = func(r row) error {
		switch state[r.folder] {
		case visiting:
			return fmt.Errorf("%s may, through others, import itself", r.folder)
		case done:
			return nil
		}
		state[r.folder] = visiting
		for _, other := range rows {
			if other.folder != r.folder && slices.ContainsFunc(r.may, func(p string) bool { return p != "**" && (p == other.folder || match(p, other.folder)) }) {
				if err := visit(other); err != nil {
					return err
				}
			}
		}
		state[r.folder] = done
		return nil
	}
	for _, r := range rows {
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// TestModules checks the versions that must stay as they are.
func TestModules(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"github.com/taskcluster/taskcluster/v44 v44.23.4",
		"github.com/taskcluster/slugid-go v1.1.0",
	} {
		if !bytes.Contains(mod, []byte("\t"+want+"\n")) {
			t.Errorf("go.mod does not require %s", want)
		}
	}
}

// readTree returns the files that are or could be committed. Without git, that
// is everything but what the build and the examples leave.
func readTree(root string) (map[string][]byte, error) {
	paths, err := listGit(root)
	if err != nil {
		paths, err = listAll(root)
	}
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for _, name := range paths {
		file := filepath.Join(root, filepath.FromSlash(name))
		if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
			continue // a link, or deleted but not yet committed
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts[name] = data
	}
	return texts, nil
}

func listGit(root string) ([]string, error) {
	// safe.directory: the checkout may belong to another user.
	cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.Trim(string(out), "\x00"), "\x00"), nil
}

func listAll(root string) ([]string, error) {
	var paths []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "dist", "artifacts"}, path.Base(name)) {
			return fs.SkipDir
		}
		if entry.Type().IsRegular() {
			paths = append(paths, name)
		}
		return nil
	})
	return paths, err
}
