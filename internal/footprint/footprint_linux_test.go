package footprint

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
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
