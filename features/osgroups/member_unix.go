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
	further, err := os.Getgroups()
	if err != nil {
		return false, err
	}
	return among(found.Gid, append(further, os.Getgid(), os.Getegid()))
}

// among tells whether a group is one of those, whose ids are negative from 2^31
// on where an int has 32 bits.
func among(group string, ids []int) (bool, error) {
	id, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		return false, fmt.Errorf("cannot read the id of the group: %w", err)
	}
	return slices.ContainsFunc(ids, func(other int) bool { return uint32(other) == uint32(id) }), nil
}
