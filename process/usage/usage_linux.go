package usage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc, which is 1/100 s for programs on every
// architecture.
const tick = 10 * time.Millisecond

// Of measures the processes with these numbers; those that have ended count
// through the parent that waited for them, if that is among them.
func Of(pids map[int]bool) Sample {
	var s Sample
	var shared int64
	r := reader{buf: make([]byte, 4096)}
	for pid := range pids {
		p, common, ok := r.add(&s, pid)
		if !ok {
			continue
		}
		s.Each = append(s.Each, p)
		s.Memory += p.Memory - common
		shared = max(shared, common)
	}
	s.Processes, s.Transfers = len(s.Each), true
	s.Memory += shared
	return s
}

// reader reads files of /proc into one buffer.
type reader struct{ buf []byte }

// file returns what one read of a file gives, valid until the next.
func (r reader) file(path string) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, r.buf)
	if err != nil {
		return nil
	}
	return r.buf[:n]
}

// add adds times, threads and transfers of one process, and returns what else
// there is to know of it, with the bytes it may share with others.
func (r reader) add(s *Sample, pid int) (p Process, shared int64, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	line := r.file(dir + "/stat")
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return Process{}, 0, false
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) < 18 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return Process{}, 0, false
	}
	p = Process{PID: pid, Name: string(line[open+1 : end])}
	s.User += time.Duration(number(fields[11])+number(fields[13])) * tick
	s.System += time.Duration(number(fields[12])+number(fields[14])) * tick
	s.Threads += int(number(fields[17]))
	if pages := bytes.Fields(r.file(dir + "/statm")); len(pages) > 2 {
		size := int64(os.Getpagesize())
		p.Memory, shared = number(pages[1])*size, number(pages[2])*size
	}
	read, written := r.transfers(dir)
	s.Read, s.Written = s.Read+read, s.Written+written
	return p, shared, true
}

// Transfers returns the bytes that a process and the children it waited for
// got from storage and sent there. It may have ended, as long as nobody has
// waited for it.
func Transfers(pid int) (read, written int64) {
	r := reader{buf: make([]byte, 512)}
	return r.transfers("/proc/" + strconv.Itoa(pid))
}

func (r reader) transfers(dir string) (read, written int64) {
	for line := range bytes.Lines(r.file(dir + "/io")) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "read_bytes":
			read = number(bytes.TrimSpace(value))
		case "write_bytes":
			written = number(bytes.TrimSpace(value))
		}
	}
	return read, written
}

// number is 0 for what is none.
func number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}

// Machine reads the memory of the machine.
func Machine() (Memory, error) {
	m, err := meminfo(reader{buf: make([]byte, 4096)}.file("/proc/meminfo"))
	if err != nil {
		return Memory{}, fmt.Errorf("cannot read /proc/meminfo: %w", err)
	}
	return m, nil
}

func meminfo(text []byte) (Memory, error) {
	var m Memory
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))
		switch string(key) {
		case "MemTotal":
			m.Total = number(value) << 10
		case "MemAvailable":
			m.Available = number(value) << 10
		}
		if m.Total > 0 && m.Available > 0 {
			return m, nil
		}
	}
	return Memory{}, errors.New("it has no lines MemTotal and MemAvailable")
}
