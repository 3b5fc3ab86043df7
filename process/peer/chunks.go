package peer

import (
	"encoding/binary"
	"net/netip"
)

// holder is who has a socket.
type holder struct {
	user uint32
	pid  int
}

// findChunk looks for the far end in what the sysctl net.inet.tcp.pcblist_n of
// Darwin gives: a header, and chunks that begin with their length and kind.
// Those of a connection follow each other, addresses first.
func findChunk(list []byte, near, far netip.AddrPort) (holder, bool) {
	const (
		kindSocket, kindAddresses = 0x01, 0x10 // XSO_SOCKET, XSO_INPCB
		sizeSocket, sizeAddresses = 72, 80     // as far as they are read
	)
	order := binary.LittleEndian // of both processors
	if len(list) < 4 {
		return holder{}, false
	}
	list = list[min(int(order.Uint32(list)), len(list)):]
	ours := false
	for len(list) >= 8 {
		size, kind := int(order.Uint32(list)), order.Uint32(list[4:])
		if size < 8 || size > len(list) {
			break
		}
		chunk := list[:size]
		switch {
		case kind == kindAddresses && size >= sizeAddresses:
			ours = chunkAddresses(chunk, near, far)
		case kind == kindSocket && size >= sizeSocket && ours:
			return holder{user: order.Uint32(chunk[64:]), pid: int(order.Uint32(chunk[68:]))}, true
		}
		list = list[min((size+7)&^7, len(list)):]
	}
	return holder{}, false
}

// chunkAddresses tells whether a struct xinpcb_n is of the socket at the far
// end. An IPv4 address is the end of the room for an IPv6 one.
func chunkAddresses(chunk []byte, near, far netip.AddrPort) bool {
	foreign, local := chunk[48:64], chunk[64:80]
	if far.Addr().Is4() {
		foreign, local = foreign[12:], local[12:]
	}
	from, _ := netip.AddrFromSlice(local)
	to, _ := netip.AddrFromSlice(foreign)
	return from == far.Addr() && to == near.Addr() &&
		binary.BigEndian.Uint16(chunk[18:]) == far.Port() && binary.BigEndian.Uint16(chunk[16:]) == near.Port()
}
