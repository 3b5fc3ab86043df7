package osgroups

import (
	"errors"
	"os/user"

	"golang.org/x/sys/windows"
)

// member tells whether this process, and so whatever it starts, is in a group.
func member(group string) (bool, error) {
	sid, _, _, err := windows.LookupSID("", group)
	if errors.Is(err, windows.ERROR_NONE_MAPPED) {
		return false, user.UnknownGroupError(group)
	}
	if err != nil {
		return false, err
	}
	token := windows.GetCurrentProcessToken()
	groups, err := token.GetTokenGroups()
	if err != nil {
		return false, err
	}
	for _, g := range groups.AllGroups() {
		if g.Attributes&windows.SE_GROUP_ENABLED != 0 && g.Sid.Equals(sid) {
			return true, nil
		}
	}
	return false, nil
}
