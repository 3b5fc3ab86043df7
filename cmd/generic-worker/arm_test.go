package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnARM runs a task with the binary for 32-bit ARM, as a machine of that
// kind would.
func TestOnARM(t *testing.T) {
	t.Parallel()
	emulator, err := exec.LookPath("qemu-arm-static")
	if err != nil {
		t.Skip("needs qemu-arm-static")
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "generic-worker")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), emulator, binary, "task", "run", filepath.Join(examples, "hello.yml"))
	run.Dir = dir
	run.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("cannot run: %v\n%s", err, out)
	}
	for _, want := range []string{`"go-arch": "arm"`, "Hello from run 0", "COMPLETED", "public/hello.txt"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
