package footprint

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestSettle reads what of the program is in memory, before and after.
func TestSettle(t *testing.T) {
	mapped(t)
	before := resident(t)
	Settle()
	after := resident(t)
	if after > before*3/4 {
		t.Errorf("%d KiB of the program were in memory, and %d KiB are", before, after)
	}
	if got := fmt.Sprintf("%x", "still works"); got != "7374696c6c20776f726b73" {
		t.Errorf("the program came back as %s", got)
	}
}

// TestUnchanged has programs that have one place in memory, and others: in those
// the loader has written, and what it wrote must not be let go of.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	const maps = `400000-56f000 r-xp 00000000 fe:00 42   /bin/worker
56f000-71b000 r--p 0016f000 fe:00 42   /bin/worker
71b000-75e000 rw-p 0031b000 fe:00 42   /bin/worker
80000000-80001000 r--p 00000000 fe:00 43   /bin/other
7ffc85c68000-7ffc86467460 rw-p 00000000 00:00 0   [stack]
75e000-79c000 rw-p 00000000 00:00 0
`
	code, constants := extent{0x400000, 0x16f000}, extent{0x56f000, 0x1ac000}
	for fixed, want := range map[bool][]extent{true: {code, constants}, false: {code}} {
		if got := unchanged(maps, "/bin/worker", fixed); !slices.Equal(got, want) {
			t.Errorf("fixed %v: got %x, want %x", fixed, got, want)
		}
	}
}

func TestFixed(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]bool{
		"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00": true,
		"\x7fELF\x02\x02\x01" + strings.Repeat("\x00", 9) + "\x00\x02": true,
		"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x03\x00": false,
		"\x7fELF": false,
	} {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := fixed(path); got != want {
			t.Errorf("%q: got %v", head, got)
		}
	}
	if fixed(filepath.Join(t.TempDir(), "none")) {
		t.Error("a program that cannot be read has a place")
	}
}

// mapped sees to it that the program is looked for by its right name.
func mapped(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(maps, []byte(program)) {
		t.Fatalf("%s is not in memory:\n%s", program, maps)
	}
}

func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^RssFile:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no RssFile in %s", status)
	}
	size, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return size
}
