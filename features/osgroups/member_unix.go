//go:build unix

package osgroups

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// member tells whether this process, and so whatever it starts, is in a group.
func member(group string) (bool, error) {
	found, err := user.LookupGroup(group)
	if err != nil {
		return false, err
	}
	id, err := strconv.Atoi(found.Gid)
	if err != nil {
		return false, fmt.Errorf("cannot read the id of the group: %w", err)
	}
	further, err := os.Getgroups()
	if err != nil {
		return false, err
	}
	return id == os.Getgid() || id == os.Getegid() || slices.Contains(further, id), nil
}
