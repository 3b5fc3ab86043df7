package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files")

// TestBroken reads the configurations of broken.txtar. A case is three files:
// NAME.yml or NAME.json, NAME.env if the environment has a say, and NAME.txt,
// what the operator is told.
func TestBroken(t *testing.T) {
	t.Parallel()
	const golden = "testdata/broken.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	contents := map[string]string{}
	for _, file := range archive.Files {
		contents[file.Name] = string(file.Data)
	}
	after := &txtar.Archive{Comment: archive.Comment}
	cases := 0
	for _, file := range archive.Files {
		extension := filepath.Ext(file.Name)
		if extension == ".txt" {
			continue
		}
		after.Files = append(after.Files, file)
		if extension == ".env" {
			continue
		}
		cases++
		name := strings.TrimSuffix(file.Name, extension)
		got := broken(t, dir, file, contents[name+".env"])
		after.Files = append(after.Files, txtar.File{Name: name + ".txt", Data: []byte(got)})
		if diff := cmp.Diff(contents[name+".txt"], got); diff != "" && !*update {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(after), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if cases < 40 {
		t.Errorf("%d broken configurations, want at least 40", cases)
	}
}

// broken returns what Load says about a configuration, on its own lines behind
// the exit code it leads to.
func broken(t *testing.T, dir string, file txtar.File, environ string) string {
	t.Helper()
	path := filepath.Join(dir, file.Name)
	if err := os.WriteFile(path, file.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, strings.Split(strings.TrimSpace(environ), "\n"))
	fault, ok := errors.AsType[*Error](err)
	if !ok {
		return fmt.Sprintln("no error of the configuration:", err)
	}
	text := strings.ReplaceAll(fault.Error(), dir+string(filepath.Separator), "")
	return fmt.Sprintf("%s\n%s\n", map[Fault]string{Unreadable: "unreadable", Invalid: "invalid", Exposed: "exposed"}[fault.Fault], text)
}
