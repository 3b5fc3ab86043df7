package table

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const zombie = 5 // SZOMB of sys/proc.h

// Reader reads the process table.
type Reader struct{}

// Read returns every process.
func (*Reader) Read() []Entry {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	entries := make([]Entry, 0, len(list))
	for i := range list {
		entries = append(entries, newEntry(&list[i]))
	}
	return entries
}

// Entry reads one process; it is not ok if there is none with this number.
func (*Reader) Entry(pid int) (Entry, bool) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(p.Proc.P_pid) != pid {
		return Entry{}, false
	}
	return newEntry(p), true
}

// newEntry has no session: the kernel tells only its address.
func newEntry(p *unix.KinfoProc) Entry {
	name, _, _ := bytes.Cut(p.Proc.P_comm[:], []byte{0})
	return Entry{
		PID:    int(p.Proc.P_pid),
		Parent: int(p.Eproc.Ppid),
		Group:  int(p.Eproc.Pgid),
		Name:   string(name),
		Start:  uint64(p.Proc.P_starttime.Nano()),
		Dead:   p.Proc.P_stat == zombie,
	}
}

// Carries tells whether the process was started with the NAME=value pair
// marker in its environment. The kernel's answer is the number of arguments,
// the program's path, the arguments and the environment.
func Carries(pid int, marker string) bool {
	if marker == "" {
		return false
	}
	data, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil || len(data) < 4 {
		return false
	}
	count := int(binary.LittleEndian.Uint32(data))
	_, rest, _ := bytes.Cut(data[4:], []byte{0})
	rest = bytes.TrimLeft(rest, "\x00")
	for n := 0; len(rest) > 0; n++ {
		var word []byte
		word, rest, _ = bytes.Cut(rest, []byte{0})
		if n >= count && string(word) == marker {
			return true
		}
	}
	return false
}
