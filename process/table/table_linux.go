package table

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Reader reads the process table into buffers that are used again.
type Reader struct {
	entries []Entry
	buf     []byte
}

// Read returns every process, with no gap: what was started while it read is
// there too, unless it has ended.
func (r *Reader) Read() []Entry {
	r.entries = r.entries[:0]
	last := r.LastPID()
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			r.add(pid)
		}
	}
	return r.catchUp(last)
}

// Since returns the processes with numbers from first to the last one given
// out. There may be threads among them.
func (r *Reader) Since(first int) []Entry {
	r.entries = r.entries[:0]
	return r.catchUp(first - 1)
}

// catchUp adds what was started after the process last, until nothing was
// meanwhile.
func (r *Reader) catchUp(last int) []Entry {
	for now := r.LastPID(); now != last; now = r.LastPID() {
		if now < last { // numbers have wrapped
			last = 0
		}
		for ; last < now; last++ {
			r.add(last + 1)
		}
	}
	return r.entries
}

func (r *Reader) add(pid int) {
	if e, ok := r.Entry(pid); ok {
		r.entries = append(r.entries, e)
	}
}

// LastPID returns the number given out last, which is the end of
// /proc/loadavg. Numbers grow until they wrap at pid_max.
func (r *Reader) LastPID() int {
	line := bytes.TrimSpace(r.file("/proc/loadavg"))
	pid, _ := strconv.Atoi(string(line[bytes.LastIndexByte(line, ' ')+1:]))
	return pid
}

// file returns what one read of a file gives, valid until the next.
func (r *Reader) file(path string) []byte {
	if r.buf == nil {
		r.buf = make([]byte, 4096)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	n, err := unix.Read(fd, r.buf)
	_ = unix.Close(fd)
	if err != nil {
		return nil
	}
	return r.buf[:n]
}

// Entry reads one process; it is not ok if there is none with this number.
func (r *Reader) Entry(pid int) (Entry, bool) {
	return parseStat(r.file("/proc/" + strconv.Itoa(pid) + "/stat"))
}

// parseStat reads a line of proc_pid_stat(5). The name is in parentheses and
// may itself contain any character.
func parseStat(line []byte) (Entry, bool) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return Entry{}, false
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) < 20 {
		return Entry{}, false
	}
	ok := true
	number := func(text []byte) int {
		n, err := strconv.Atoi(string(text))
		ok = ok && err == nil
		return n
	}
	e := Entry{
		PID:     number(bytes.TrimSpace(line[:open])),
		Parent:  number(fields[1]),
		Group:   number(fields[2]),
		Session: number(fields[3]),
		Start:   uint64(number(fields[19])),
		Name:    string(line[open+1 : end]),
	}
	// A process whose first thread has ended looks like a zombie, but is not
	// one while it has other threads.
	e.Dead = (fields[0][0] == 'Z' || fields[0][0] == 'X') && number(fields[17]) <= 1
	return e, ok
}

// Carries tells whether the process was started with the NAME=value pair
// marker in its environment.
func Carries(pid int, marker string) bool {
	if marker == "" {
		return false
	}
	dir := "/proc/" + strconv.Itoa(pid)
	env, err := os.ReadFile(dir + "/environ")
	if len(env) == 0 && (err == nil || errors.Is(err, unix.ESRCH)) { // by the kernel's age
		env = threadsEnviron(dir)
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(pair []byte) bool {
		return string(pair) == marker
	})
}

// threadsEnviron reads the environment from a thread, since a process whose
// first has ended shows none. Nor do kernel threads, which have only one.
func threadsEnviron(dir string) []byte {
	threads, _ := os.ReadDir(dir + "/task")
	if len(threads) < 2 {
		return nil
	}
	for _, thread := range threads { // in order of text, so that the first need not come first
		if env, _ := os.ReadFile(dir + "/task/" + thread.Name() + "/environ"); len(env) > 0 {
			return env
		}
	}
	return nil
}
