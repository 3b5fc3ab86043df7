//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/taskcluster/generic-worker/process/harden"
	"golang.org/x/sys/unix"
)

// hideouts are the ways in which a descendant tries to outlive its command.
func hideouts() []string {
	return []string{"normal", "setsid", "daemon", "disguised", "stubborn", "spinner", "holds stdout", "stopped", "headless"}
}

func probeOS(args []string) int {
	switch args[0] {
	case "parent": // DIR HIDEOUT exit|stay
		parent(args[1], args[2])
		fmt.Println("ready")
		if args[3] == "stay" {
			time.Sleep(time.Hour)
		}
	case "fork": // DIR HIDEOUT: the intermediate process of a daemon
		signalFile := os.NewFile(3, "ready")
		env := os.Environ()
		if args[2] == "disguised" {
			env = []string{"PROCESS_PROBE=1"}
		}
		hide(signalFile, args[1], args[2], env, nil)
	case "hide": // DIR HIDEOUT
		lock(args[1])
		hidden(args[1], args[2])
	case "hold": // DIR
		lock(args[1])
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "work":
		return work(args[1:])
	default:
		return probeLinux(args)
	}
	return 0
}

// parent starts a descendant that hides, and returns when it has.
func parent(dir, hideout string) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	hide(w, dir, hideout, os.Environ(), os.Stdout)
	_ = w.Close()
	if n, _ := r.Read(make([]byte, 1)); n != 1 {
		fmt.Println("the descendant did not start")
		os.Exit(7)
	}
}

// hide starts the next process towards a hideout.
func hide(ready *os.File, dir, hideout string, env []string, stdout *os.File) {
	verb, attr := "hide", &syscall.SysProcAttr{}
	switch {
	case (hideout == "daemon" || hideout == "disguised") && stdout != nil:
		verb, attr.Setsid = "fork", true
	case hideout == "setsid", hideout == "spinner":
		attr.Setsid = true
	}
	if hideout != "holds stdout" {
		stdout = nil
	}
	spawn(attr, stdout, ready, env, verb, dir, hideout)
}

// lock holds dir's lock for as long as this process lives.
func lock(dir string) {
	fd, err := unix.Open(filepath.Join(dir, "lock"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_SH)
	}
	if err != nil {
		os.Exit(6)
	}
}

// hidden stays.
func hidden(dir, hideout string) {
	if hideout == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	_, _ = os.NewFile(3, "ready").Write([]byte{1})
	switch hideout {
	case "stopped":
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	case "spinner": // for ever another process
		parent(dir, hideout)
		return
	case "headless":
		runtime.LockOSThread()
		if unix.Getpid() == gettid() {
			go time.Sleep(time.Hour)
			exitThread()
		}
	}
	time.Sleep(time.Hour)
}

// survivors tells whether a process that hid in dir is alive.
func survivors(dir string) bool {
	fd, err := unix.Open(filepath.Join(dir, "lock"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil
}

// work is a worker that runs itself as a command: MARKER ARG...
func work(args []string) int {
	if slices.Contains(os.Environ(), "HARDEN=1") {
		if err := harden.Self(); err != nil {
			return failed(err)
		}
	}
	c := Command{
		Argv: append([]string{self()}, args[1:]...), Dir: "/", Env: probeEnv(),
		Output: os.Stdout, Marker: args[0], Grace: time.Second,
	}
	if uncontained := slices.Contains(os.Environ(), "NO_CGROUP=1"); uncontained {
		_, err := c.run(context.Background(), limits{patience: patience})
		return failed(err)
	}
	_, err := c.Run(context.Background())
	return failed(err)
}

func failed(err error) int {
	if err == nil {
		return 0
	}
	fmt.Println("error:", err)
	return 5
}

// shell is a command of the system's shell.
func shell(dir, script string) Command {
	return Command{Argv: []string{"sh", "-c", script}, Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}}
}

var errStop = errors.New("stopped by the test")

// await calls ready once the text has been written to it.
type await struct {
	text  string
	seen  strings.Builder
	ready func()
}

func (a *await) Write(p []byte) (int, error) {
	a.seen.Write(p)
	if a.ready != nil && strings.Contains(a.seen.String(), a.text) {
		a.ready()
		a.ready = nil
	}
	return len(p), nil
}
