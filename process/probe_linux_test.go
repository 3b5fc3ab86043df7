package process

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/process/table"
	"golang.org/x/sys/unix"
)

type variant struct {
	name string
	limits
}

// variants are the ways a command is kept together on this machine.
func variants() []variant {
	all := []variant{{"no cgroup", limits{patience: patience}}}
	if theHost().groups.Usable() {
		all = append(all, variant{"best cgroup", limits{best, patience}})
	}
	for _, v1 := range []string{"pids", "freezer", "cpu"} {
		if theHost().place.V1(v1).Usable() {
			all = append(all, variant{v1 + " cgroup", limits{v1, patience}})
		}
	}
	return all
}

func gettid() int { return unix.Gettid() }

func exitThread() { _, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0) }

func probeLinux(args []string) int {
	switch args[0] {
	case "facts":
		facts()
	case "spy":
		spy()
	case "core-limits":
		var core unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
		fmt.Printf("core: %d, may be raised: %v\n", core.Cur, core.Max > 0)
	case "fork-use":
		cmd := exec.Command(self(), "use")
		cmd.Env = probeEnv()
		if err := cmd.Run(); err != nil {
			return 9
		}
	case "use": // 100 ms and 200 MiB
		memory := make([]byte, 200<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		var used unix.Rusage
		for used.Utime.Nano() < 1e8 {
			_ = unix.Getrusage(unix.RUSAGE_SELF, &used)
		}
	case "hog": // MIB TIME
		size, _ := strconv.Atoi(args[1])
		memory := make([]byte, size<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		pause, _ := time.ParseDuration(args[2])
		time.Sleep(pause) // to be looked at
	case "zombies": // ARG...: a worker that counts what it has not reaped
		code := work(args[1:])
		n := 0
		for _, e := range new(table.Reader).Read() {
			if e.Parent == os.Getpid() && e.Dead {
				n++
			}
		}
		fmt.Println("zombies:", n)
		return code
	default:
		return 99
	}
	return 0
}

// facts prints what this process was given.
func facts() {
	fmt.Println("fds:", descriptors())
	for _, name := range []string{"Umask", "SigBlk", "SigIgn"} {
		fmt.Println(name+":", status(name))
	}
	sid, _ := unix.Getsid(0)
	_, tty := unix.Open("/dev/tty", unix.O_RDWR, 0)
	var core unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	stdin, _ := os.Readlink("/proc/self/fd/0")
	score, _ := os.ReadFile("/proc/self/oom_score_adj")
	fmt.Println("leads its session:", sid == os.Getpid())
	fmt.Println("group:", unix.Getpgrp() == os.Getpid())
	fmt.Println("terminal:", tty)
	fmt.Println("core:", core.Cur)
	fmt.Println("stdin:", stdin)
	fmt.Println("oom:", strings.TrimSpace(string(score)))
}

func descriptors() string {
	var open []string
	for fd := range 256 {
		name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		runtime := strings.HasPrefix(name, "anon_inode:[event") || strings.HasPrefix(name, "/sys/fs/cgroup/")
		if err == nil && !runtime { // which opens those itself
			open = append(open, strconv.Itoa(fd))
		}
	}
	return strings.Join(open, " ")
}

func status(name string) string {
	text, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(text), "\n"+name+":")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}
