package peer

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
)

// end is the far end of a connection.
type end struct {
	// user is the number of the user who opened it, or on Windows the SID.
	user string
	// processes are those that have it open; nil if the platform does not tell.
	processes iter.Seq[int]
}

// ErrGone is returned for a connection whose far end is closed, or is not on
// this machine.
var ErrGone = errors.New("the far end of the connection is not open on this machine")

// Check returns nil if the far end of the connection that this process sees as
// near and far was opened by the user and is held by a process that is mine, as
// far as the platform tells, or if it was opened by root while the user is
// another. Otherwise the error says who it is. It is [errors.ErrUnsupported] if
// the platform does not tell.
//
// A user is named by number, on Windows by SID.
func Check(near, far netip.AddrPort, user string, mine func(pid int) bool) error {
	near, far = unmap(near), unmap(far)
	if !near.IsValid() || !far.IsValid() || near.Addr().Is4() != far.Addr().Is4() {
		return fmt.Errorf("cannot find who connected from %v: %w", far, ErrGone)
	}
	it, err := find(near, far)
	switch {
	case err != nil:
		return fmt.Errorf("cannot find who connected from %v: %w", far, err)
	case it.user == user:
	case it.user == root:
		return nil
	default:
		return fmt.Errorf("it runs as user %s, and the task as user %s", it.user, user)
	}
	if it.processes == nil {
		return nil
	}
	for pid := range it.processes {
		if mine(pid) {
			return nil
		}
	}
	return errors.New("it was not started by the task")
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
