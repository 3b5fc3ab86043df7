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
