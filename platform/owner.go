package platform

import (
	"net/netip"

	"github.com/taskcluster/generic-worker/process"
)

// Owns returns nil if the far end of a TCP connection within this machine
// belongs to one of the task's processes, as [process.Owns] tells. It may be
// called concurrently with anything.
func (s *Session) Owns(near, far netip.AddrPort) error {
	return process.Owns(s.As, s.marker, near, far)
}
