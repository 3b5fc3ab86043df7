//go:build unix

package osgroups

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"testing"
)

// groups returns the names of a group that this process is in and of one that
// it is not in.
func groups(t *testing.T) (in, out string) {
	t.Helper()
	own, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Skipf("the group of this process has no name: %v", err)
	}
	further, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for id := range 1000 {
		other, err := user.LookupGroupId(strconv.Itoa(id))
		if err == nil && id != os.Getgid() && !slices.Contains(further, id) {
			return own.Name, other.Name
		}
	}
	t.Skip("this process is in all groups of the machine")
	return "", ""
}

// TestLargeIDs: ids of groups have 32 bits, and no more.
func TestLargeIDs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		group string
		ids   []int
		want  bool
	}{
		{"4294967294", []int{0, -2}, true},
		{"4294967294", []int{0, 2}, false},
		{"2147483648", []int{-2147483648}, true},
	} {
		if got, err := among(row.group, row.ids); got != row.want || err != nil {
			t.Errorf("%s is among %v: %v, %v", row.group, row.ids, got, err)
		}
	}
	for _, group := range []string{"4294967296", "-1", ""} {
		if in, err := among(group, []int{0}); in || err == nil {
			t.Errorf("%q is the id of a group", group)
		}
	}
}
