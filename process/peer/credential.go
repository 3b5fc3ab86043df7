package peer

import (
	"encoding/binary"
	"net/netip"
)

// Families of addresses and the sizes of theirs on FreeBSD.
const (
	freeFour, freeSix         = 2, 28
	sizeFreeFour, sizeFreeSix = 16, 28
)

// freeAddress is a struct sockaddr_in or sockaddr_in6 of FreeBSD.
func freeAddress(a netip.AddrPort) []byte {
	size, family, at := sizeFreeFour, byte(freeFour), 4
	if a.Addr().Is6() {
		size, family, at = sizeFreeSix, freeSix, 8
	}
	b := make([]byte, size)
	b[0], b[1] = byte(size), family
	binary.BigEndian.PutUint16(b[2:], a.Port())
	copy(b[at:], a.Addr().AsSlice())
	return b
}

// credentialUser reads the user from a struct xucred of FreeBSD.
func credentialUser(b []byte) (uint32, bool) {
	const version, size = 0, 8
	if len(b) < size || binary.NativeEndian.Uint32(b) != version {
		return 0, false
	}
	return binary.NativeEndian.Uint32(b[4:]), true
}
