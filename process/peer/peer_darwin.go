package peer

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// find looks for the socket in the kernel's list of all.
func find(near, far netip.AddrPort) (end, error) {
	list, err := unix.SysctlRaw("net.inet.tcp.pcblist_n")
	if err != nil {
		return end{}, fmt.Errorf("cannot list the system's connections: %w", err)
	}
	h, ok := findChunk(list, near, far)
	if !ok {
		return end{}, ErrGone
	}
	return end{user: strconv.FormatUint(uint64(h.user), 10), processes: slices.Values([]int{h.pid})}, nil
}
