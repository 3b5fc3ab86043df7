package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	longestRecord = 8 << 10
	mostRecords   = 100_000
	firstPIDs     = "pid:[4026531836]" // the namespace of the machine itself
)

// Victim is who was killed last for want of the group's memory, as "name (pid
// 12)", from the kernel's log; "" if that says nothing, or may not be read. The
// number is left out where it would mean another process.
func (b *Bounds) Victim() string {
	if b == nil || b.by["memory"].path == "" {
		return ""
	}
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	name := filepath.Base(b.by["memory"].path)
	found := ""
	buf := make([]byte, longestRecord)
	for range mostRecords {
		n, err := unix.Read(fd, buf)
		if err == unix.EPIPE { // it was overwritten meanwhile
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		if victim := victimOf(string(buf[:n]), name, namespace == firstPIDs); victim != "" {
			found = victim
		}
	}
	return found
}

// ofOOM is the part of a record that says who was chosen. A name can have any
// character.
var ofOOM = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`,task=(.*),pid=(\d+),uid=\d+`) })

// victimOf reads one record of the kernel's log.
func victimOf(record, group string, numbered bool) string {
	_, text, _ := strings.Cut(record, ";")
	if !strings.HasPrefix(text, "oom-kill:") || !strings.Contains(text, "/"+group+",") {
		return ""
	}
	m := ofOOM().FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	if !numbered {
		return m[1]
	}
	return fmt.Sprintf("%s (pid %s)", m[1], m[2])
}
