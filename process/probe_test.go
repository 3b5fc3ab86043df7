package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the tests, or the program they run as a command.
func TestMain(m *testing.M) {
	if os.Getenv("PROCESS_PROBE") == "1" {
		os.Exit(probe(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// self is the path of this program.
func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// probeEnv makes this program a probe, one that does not wait for late data
// races when it exits.
func probeEnv() []string {
	return []string{"PROCESS_PROBE=1", "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH"), "SystemRoot=" + os.Getenv("SystemRoot")}
}

// probe is what commands of the tests do, by the first argument.
func probe(args []string) int {
	switch args[0] {
	case "exit":
		code, _ := strconv.Atoi(args[1])
		return code
	case "print":
		fmt.Print(args[1])
	case "lines":
		printLines(args[1])
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	default:
		return probeOS(args)
	}
	return 0
}

// printLines writes n lines of 100 bytes, a megabyte at a time.
func printLines(n string) {
	lines, _ := strconv.Atoi(n)
	line := append(bytes.Repeat([]byte("x"), 99), '\n')
	block := bytes.Repeat(line, 10000)
	for left := lines; left > 0; left -= 10000 {
		if _, err := os.Stdout.Write(block[:100*min(left, 10000)]); err != nil {
			os.Exit(9)
		}
	}
}

// spawn starts this program again, doing args, and does not wait for it. The
// new process has ready, if any, as descriptor 3.
func spawn(attr *syscall.SysProcAttr, output, ready *os.File, env []string, args ...string) {
	cmd := exec.Command(self(), args...)
	cmd.SysProcAttr = attr
	cmd.Env = env
	if output != nil {
		cmd.Stdout, cmd.Stderr = output, output
	}
	if ready != nil {
		cmd.ExtraFiles = []*os.File{ready}
	}
	if err := cmd.Start(); err != nil {
		fmt.Println("cannot spawn", strings.Join(args, " "), err)
		os.Exit(8)
	}
}
