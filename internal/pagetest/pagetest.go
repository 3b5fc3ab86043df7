// Package pagetest compares tables in pages of docs with the tables that tests
// make of schemas and code.
package pagetest

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Compare fails the test if one of the tables differs from what stands in the
// page between the comments with its name, or writes them all there instead.
func Compare(t *testing.T, page string, tables map[string]string, write bool) {
	t.Helper()
	golden, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(golden)
	for name, table := range tables {
		begin, end := "<!-- made by a test: "+name+" -->\n", "<!-- end: "+name+" -->"
		before, rest, begins := strings.Cut(want, begin)
		_, after, ends := strings.Cut(rest, end)
		if !begins || !ends {
			t.Fatalf("%s has no place for %q", page, name)
		}
		want = before + begin + table + "\n" + end + after
	}
	if write {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(golden)); diff != "" {
		t.Errorf("%s is out of date; run this test with -update (-want +got):\n%s", page, diff)
	}
}
