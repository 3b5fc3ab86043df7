package process

import (
	"net/netip"

	"github.com/taskcluster/generic-worker/process/peer"
)

// Owns returns nil if the far end of a TCP connection within this machine is
// held by a process that runs as the identity and belongs to the marker: it, or
// one it descends from below this process, was started by a Command with it.
// One of root may, too, unless the identity itself is root's. Otherwise the
// error says who it is.
//
// On Windows, and elsewhere where the platform shows no processes, only the
// user is compared. The error is [errors.ErrUnsupported] where not even the
// user is shown. near and far are the addresses as this process sees them.
func Owns(as Identity, marker string, near, far netip.AddrPort) error {
	user, err := as.name()
	if err != nil {
		return err
	}
	return peer.Check(near, far, user, func(pid int) bool { return belongs(marker, pid) })
}
