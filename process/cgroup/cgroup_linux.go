package cgroup

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Base is the directory in which groups are made: that of the group this
// process is in, if it may make others there. The zero value makes none.
type Base struct{ dir, controller string } // controller is "" for version 2

// Group is a control group. The zero value is none, and its methods do nothing.
type Group struct {
	base Base
	path string
}

// controllers are the hierarchies that will do, best first: version 2 kills a
// group at once, and the first two of version 1 can keep a fork bomb from
// outrunning its killer.
func controllers() []string { return []string{"", "pids", "freezer", "memory", "cpu", "cpuacct"} }

// Hierarchies are the directories of the groups this process is in, by
// controller.
type Hierarchies map[string]string

// Find reads where this process is. It must not be called during a Start,
// which may move the thread that stands for the whole process.
func Find() Hierarchies {
	own, _ := os.ReadFile("/proc/self/cgroup")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	return directories(string(own), string(mounts))
}

// Best returns where groups can be made, with the best controller there is.
func (h Hierarchies) Best() Base {
	for _, controller := range controllers() {
		if b := h.V1(controller); b.Usable() {
			return b
		}
	}
	return Base{}
}

// V1 returns where groups of this controller of version 1 can be made.
func (h Hierarchies) V1(controller string) Base {
	b := Base{h[controller], controller}
	if !b.works() {
		return Base{}
	}
	return b
}

// directories returns the directory of the worker's own cgroup by controller,
// from /proc/self/cgroup and /proc/self/mountinfo; "" is version 2.
func directories(own, mounts string) Hierarchies {
	paths := make(map[string]string)
	for line := range strings.Lines(own) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			for name := range strings.SplitSeq(f[1], ",") {
				paths[name] = f[2]
			}
		}
	}
	dirs := make(Hierarchies)
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(where) < 5 || len(what) < 3 {
			continue
		}
		names := []string{""}
		switch what[0] {
		case "cgroup":
			names = strings.Split(what[2], ",")
		case "cgroup2":
		default:
			continue
		}
		for _, name := range names {
			// A container sees a part of the hierarchy, mounted at its root.
			below, err := filepath.Rel(unescape(where[3]), paths[name])
			if paths[name] != "" && err == nil && filepath.IsLocal(below) {
				dirs[name] = filepath.Join(unescape(where[4]), below)
			}
		}
	}
	return dirs
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// works tries the base out.
func (b Base) works() bool {
	if b.dir == "" {
		return false
	}
	path, err := os.MkdirTemp(b.dir, "gw-probe-")
	if err != nil {
		return false
	}
	probe := Group{b, path}
	defer probe.Remove()
	writable := func(path string) bool { return unix.Access(path, unix.W_OK) == nil }
	if b.controller == "" {
		kind, err := os.ReadFile(filepath.Join(path, "cgroup.type"))
		if err != nil || string(kind) != "domain\n" {
			return false // no process could be put there
		}
		return writable(filepath.Join(path, "cgroup.kill")) && writable(filepath.Join(b.dir, "cgroup.procs"))
	}
	return writable(filepath.Join(path, "tasks")) && writable(filepath.Join(b.dir, "tasks"))
}

// Usable tells whether groups can be made at all.
func (b Base) Usable() bool { return b.dir != "" }

// Make makes a group; it is the zero value if that cannot be done.
func (b Base) Make(name string) Group {
	g := Group{b, filepath.Join(b.dir, name)}
	if b.dir == "" || os.Mkdir(g.path, 0o755) != nil {
		return Group{}
	}
	return g
}

// Named returns the groups there are with names that begin with prefix.
func (b Base) Named(prefix string) []Group {
	if b.dir == "" {
		return nil
	}
	entries, _ := os.ReadDir(b.dir)
	var groups []Group
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			groups = append(groups, Group{b, filepath.Join(b.dir, e.Name())})
		}
	}
	return groups
}

// Start calls start, which forks with sys, so that the child is born in the
// group: in version 2 by opening it for clone3, in version 1 by moving the
// calling thread, which must be locked, there and back.
func (g Group) Start(sys *syscall.SysProcAttr, start func() error) error {
	if g.path == "" {
		return start()
	}
	if g.base.controller == "" {
		fd, err := unix.Open(g.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("cannot open cgroup: %w", err)
		}
		defer unix.Close(fd)
		sys.UseCgroupFD, sys.CgroupFD = true, fd
		defer func() { sys.UseCgroupFD = false }()
		return start()
	}
	if err := os.WriteFile(filepath.Join(g.path, "tasks"), []byte("0"), 0); err != nil {
		return fmt.Errorf("cannot enter cgroup: %w", err)
	}
	defer func() { _ = os.WriteFile(filepath.Join(g.base.dir, "tasks"), []byte("0"), 0) }()
	return start()
}

// Kill kills every process in a version 2 group. In version 1 it only stops
// them from forking, until resume is called.
func (g Group) Kill() (resume func()) {
	resume = func() {}
	write := func(file, value string) {
		_ = os.WriteFile(filepath.Join(g.path, file), []byte(value), 0)
	}
	switch {
	case g.path == "":
	case g.base.controller == "":
		write("cgroup.kill", "1")
	case g.base.controller == "pids":
		write("pids.max", "0")
	case g.base.controller == "freezer":
		write("freezer.state", "FROZEN")
		resume = func() { write("freezer.state", "THAWED") }
	}
	return resume
}

// dirs are the group and those that processes in it made below.
func (g Group) dirs() []string {
	if g.path == "" {
		return nil
	}
	dirs := []string{g.path}
	for i := 0; i < len(dirs); i++ {
		entries, _ := os.ReadDir(dirs[i])
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(dirs[i], e.Name()))
			}
		}
	}
	return dirs
}

// PIDs are the numbers of the processes in it now.
func (g Group) PIDs() map[int]bool {
	pids := make(map[int]bool)
	for _, dir := range g.dirs() {
		list, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for field := range bytes.FieldsSeq(list) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids[pid] = true
			}
		}
	}
	return pids
}

// mostEnding is how long threads may take to end after their process was found
// dead: the last of them are in the group until the scheduler lets them go on.
const mostEnding = 5 * time.Second

// Remove removes the group, whose processes must have ended.
func (g Group) Remove() {
	for deadline := time.Now().Add(mostEnding); g.busy() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // version 1 has nothing to wait on
	}
}

// busy removes the group unless there is somebody in it.
func (g Group) busy() bool {
	var err error
	for _, dir := range slices.Backward(g.dirs()) {
		err = unix.Rmdir(dir)
	}
	return err == unix.EBUSY
}

// Contains tells whether the process is in the group, or was when it died.
func (g Group) Contains(pid int) bool {
	if g.path == "" {
		return false
	}
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	return slices.Contains(strings.FieldsFunc(string(text), func(r rune) bool {
		return r == '/' || r == '\n' || r == ' '
	}), filepath.Base(g.path))
}

// Usage is what all processes of a group use together, or used; a figure that
// is not known is 0.
type Usage struct {
	User, System  time.Duration
	Memory        int64 // bytes now, page cache included
	PeakMemory    int64
	Read, Written int64 // bytes from and to storage
}

// with adds the figures that u has not.
func (u Usage) with(other Usage) Usage {
	return Usage{
		User: cmp.Or(u.User, other.User), System: cmp.Or(u.System, other.System),
		Memory: cmp.Or(u.Memory, other.Memory), PeakMemory: cmp.Or(u.PeakMemory, other.PeakMemory),
		Read: cmp.Or(u.Read, other.Read), Written: cmp.Or(u.Written, other.Written),
	}
}

// Usage reads the group's figures.
func (g Group) Usage() Usage {
	const micro, nano = time.Microsecond, time.Nanosecond
	var u Usage
	if g.path == "" {
		return u
	}
	switch g.base.controller {
	case "":
		u.User = time.Duration(g.figure("cpu.stat", "user_usec ")) * micro
		u.System = time.Duration(g.figure("cpu.stat", "system_usec ")) * micro
		u.Memory, u.PeakMemory = g.figure("memory.current", ""), g.figure("memory.peak", "")
		u.Read, u.Written = g.transfers()
	case "cpuacct":
		u.User = time.Duration(g.figure("cpuacct.usage_user", "")) * nano
		u.System = time.Duration(g.figure("cpuacct.usage_sys", "")) * nano
	case "memory":
		u.Memory, u.PeakMemory = g.figure("memory.usage_in_bytes", ""), g.figure("memory.max_usage_in_bytes", "")
	}
	return u
}

// transfers adds up io.stat, which has a line for each device.
func (g Group) transfers() (read, written int64) {
	text, _ := os.ReadFile(filepath.Join(g.path, "io.stat"))
	for field := range strings.FieldsSeq(string(text)) {
		key, value, _ := strings.Cut(field, "=")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "rbytes":
			read += n
		case "wbytes":
			written += n
		}
	}
	return read, written
}

// figure reads a number from a file of lines "key number", or the file's only
// number if key is ""; 0 if there is none.
func (g Group) figure(file, key string) int64 {
	text, _ := os.ReadFile(filepath.Join(g.path, file))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}

// Holds tells whether the process is in a group whose name begins with prefix,
// or below one.
func Holds(prefix string, pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	return err == nil && strings.Contains(string(text), "/"+prefix)
}
