package peer

import (
	"encoding/binary"
	"net/netip"
)

// findOwner returns the process that has the connection's far end, from the
// MIB_TCPTABLE_OWNER_PID or MIB_TCP6TABLE_OWNER_PID that Windows gives: the
// number of rows, then rows. Ports are the network's, in the first two of four
// bytes.
func findOwner(table []byte, near, far netip.AddrPort) (pid uint32, ok bool) {
	size, from, to, owner := 24, 4, 12, 20
	if far.Addr().Is6() {
		size, from, to, owner = 56, 0, 24, 52
	}
	if len(table) < 4 {
		return 0, false
	}
	count := binary.LittleEndian.Uint32(table)
	rows := table[4:]
	for ; count > 0 && len(rows) >= size; count, rows = count-1, rows[size:] {
		if rowAddress(rows[from:], far) && rowAddress(rows[to:], near) {
			return binary.LittleEndian.Uint32(rows[owner:]), true
		}
	}
	return 0, false
}

// rowAddress tells whether a row goes on with the address; between an IPv6
// address and its port there is its scope.
func rowAddress(row []byte, a netip.AddrPort) bool {
	address, port := row[:4], row[4:]
	if a.Addr().Is6() {
		address, port = row[:16], row[20:]
	}
	is, ok := netip.AddrFromSlice(address)
	return ok && is == a.Addr() && binary.BigEndian.Uint16(port) == a.Port()
}
