package table

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

const zombie = 5 // SZOMB of sys/proc.h

// Reader reads the process table.
type Reader struct{}

// kinfo is the beginning of struct kinfo_proc of sys/user.h.
type kinfo struct {
	size, layout                      int32
	_                                 [8]uintptr
	pid, parent, group, _, session, _ int32
	_, _                              int16
	_                                 uint32
	_                                 [4][4]uint32 // signal sets
	_                                 [5]uint32    // users and groups
	_, _                              int16
	_                                 [16]uint32
	_                                 [6]uintptr // sizes
	_, _                              uint16
	_                                 [5]uint32
	_                                 uint64
	start, _                          unix.Timeval
	_, _                              uintptr
	_                                 int32
	stat                              int8
	_                                 [5]int8
	_                                 [17 + 9 + 18 + 9]byte
	name                              [20]byte
}

// Read returns every process.
func (*Reader) Read() []Entry {
	for range 3 { // it fails if the table grew since it asked for the size
		if data, err := unix.SysctlRaw("kern.proc.proc"); err == nil {
			return parseTable(data)
		}
	}
	return nil
}

func parseTable(data []byte) []Entry {
	var entries []Entry
	for len(data) >= int(unsafe.Sizeof(kinfo{})) {
		p := (*kinfo)(unsafe.Pointer(&data[0]))
		if p.size < int32(unsafe.Sizeof(kinfo{})) || int(p.size) > len(data) {
			break
		}
		name, _, _ := bytes.Cut(p.name[:], []byte{0})
		entries = append(entries, Entry{
			PID:     int(p.pid),
			Parent:  int(p.parent),
			Group:   int(p.group),
			Session: int(p.session),
			Name:    string(name),
			Start:   uint64(p.start.Nano()),
			Dead:    p.stat == zombie,
		})
		data = data[p.size:]
	}
	return entries
}

// Entry reads one process; it is not ok if there is none with this number.
func (*Reader) Entry(pid int) (Entry, bool) {
	data, err := unix.SysctlRaw("kern.proc.pid", pid)
	if err != nil {
		return Entry{}, false
	}
	entries := parseTable(data)
	return append(entries, Entry{})[0], len(entries) > 0
}

// Carries tells whether the process was started with the NAME=value pair
// marker in its environment.
func Carries(pid int, marker string) bool {
	if marker == "" {
		return false
	}
	data, err := unix.SysctlRaw("kern.proc.env", pid)
	return err == nil && bytes.Contains(append([]byte{0}, data...), []byte("\x00"+marker+"\x00"))
}
