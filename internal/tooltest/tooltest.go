// Package tooltest runs programs of others that tests hold ours against. A test
// skips where its program is not installed, and fails where GW_REQUIRE_TOOLS is
// set.
package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Need skips or fails the test unless all these programs are installed.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("GW_REQUIRE_TOOLS") != "" {
				t.Fatalf("%s is required here: install it", name)
			}
			t.Skipf("%s is not installed", name)
		}
	}
}

// NPM returns a directory with copies of the files, which are package.json,
// package-lock.json and a program for node, and with the packages they name. If
// those cannot be had, the test skips or fails likewise.
func NPM(t testing.TB, files ...string) (dir string) {
	t.Helper()
	Need(t, "node", "npm")
	dir = t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=60000")
	install.Dir = dir
	if text, err := install.CombinedOutput(); err != nil {
		give := t.Skipf
		if os.Getenv("GW_REQUIRE_TOOLS") != "" {
			give = t.Fatalf
		}
		give("the packages of npm cannot be installed here: %v\n%s", err, text)
	}
	return dir
}
