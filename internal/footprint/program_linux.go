package footprint

import (
	"debug/elf"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetProgram lets go of the pages of the program's file. Starting touches
// nearly all of them, as the system maps many around each that is used. That
// some could not be let go of is no harm.
func forgetProgram() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for _, e := range unchanged(string(maps), program, fixed(program)) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, e.start, e.length, unix.MADV_DONTNEED)
	}
}

// fixed tells whether a program has one place in memory. The loader of one that
// has not writes addresses into it, also where nobody may write afterwards.
func fixed(program string) bool {
	file, err := os.Open(program)
	if err != nil {
		return false
	}
	defer file.Close()
	var head [elf.EI_NIDENT + 2]byte
	_, err = io.ReadFull(file, head[:])
	kind := head[elf.EI_NIDENT] | head[elf.EI_NIDENT+1] // whichever comes first
	return err == nil && elf.Type(kind) == elf.ET_EXEC
}

// extent is a part of memory.
type extent struct{ start, length uintptr }

// unchanged returns where, by a text as in /proc/self/maps, memory is what the
// file of the program is.
func unchanged(maps, program string, fixed bool) []extent {
	var found []extent
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[5] != program {
			continue
		}
		if allowed := fields[1]; allowed != "r-xp" && !(fixed && allowed == "r--p") {
			continue
		}
		if e, ok := parseExtent(fields[0]); ok {
			found = append(found, e)
		}
	}
	return found
}

// parseExtent reads "from-to" in hexadecimal.
func parseExtent(text string) (e extent, ok bool) {
	from, to, _ := strings.Cut(text, "-")
	a, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return e, false
	}
	b, err := strconv.ParseUint(to, 16, strconv.IntSize)
	if err != nil || b < a {
		return e, false
	}
	return extent{uintptr(a), uintptr(b - a)}, true
}
