package peer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is what the kernel knows of one.
type socket struct{ user, inode uint32 }

const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY of linux/sock_diag.h
	// sizes of struct nlmsghdr, inet_diag_req_v2 and inet_diag_msg
	headerSize, requestSize, messageSize = 16, 56, 72
)

// diagRequest asks for the socket at the far end: what is far here is its own
// address. Numbers are the machine's, ports and addresses the network's.
func diagRequest(near, far netip.AddrPort) []byte {
	b := make([]byte, headerSize+requestSize)
	order := binary.NativeEndian
	order.PutUint32(b[0:], uint32(len(b)))
	order.PutUint16(b[4:], diagByFamily)
	order.PutUint16(b[6:], unix.NLM_F_REQUEST)
	order.PutUint32(b[8:], 1)
	r := b[headerSize:]
	r[0] = unix.AF_INET
	if far.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	r[1] = unix.IPPROTO_TCP
	order.PutUint32(r[4:], 1<<1) // state: established
	binary.BigEndian.PutUint16(r[8:], far.Port())
	binary.BigEndian.PutUint16(r[10:], near.Port())
	copy(r[12:28], far.Addr().AsSlice())
	copy(r[28:44], near.Addr().AsSlice())
	order.PutUint64(r[48:], ^uint64(0)) // no cookie
	return b
}

// parseDiag reads the answer, which has to be about exactly this socket.
func parseDiag(b []byte, near, far netip.AddrPort) (socket, error) {
	order := binary.NativeEndian
	if len(b) < headerSize+4 {
		return socket{}, fmt.Errorf("cannot read the kernel's answer: it has %d bytes", len(b))
	}
	if kind := order.Uint16(b[4:]); kind == unix.NLMSG_ERROR {
		return socket{}, fmt.Errorf("the kernel does not say: %w", syscall.Errno(-int32(order.Uint32(b[headerSize:]))))
	} else if kind != diagByFamily || len(b) < headerSize+messageSize {
		return socket{}, fmt.Errorf("cannot read the kernel's answer: it is of kind %d and has %d bytes", kind, len(b))
	}
	m := b[headerSize:]
	const established = 1
	if m[1] != established || binary.BigEndian.Uint16(m[4:]) != far.Port() || binary.BigEndian.Uint16(m[6:]) != near.Port() {
		return socket{}, ErrGone
	}
	return socket{user: order.Uint32(m[64:]), inode: order.Uint32(m[68:])}, nil
}

// parseList looks for the socket in the text of proc_net_tcp.
func parseList(text []byte, near, far netip.AddrPort) (socket, bool) {
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		const established = "01"
		if len(f) < 10 || f[3] != established || !isHex(f[1], far) || !isHex(f[2], near) {
			continue
		}
		user, err := strconv.ParseUint(f[7], 10, 32)
		inode, err2 := strconv.ParseUint(f[9], 10, 32)
		if err == nil && err2 == nil {
			return socket{user: uint32(user), inode: uint32(inode)}, true
		}
	}
	return socket{}, false
}

// isHex tells whether the text is the address: in hexadecimal, in words of
// four bytes of the machine's order.
func isHex(text string, a netip.AddrPort) bool {
	host, port, ok := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || uint16(number) != a.Port() || len(host)%8 != 0 {
		return false
	}
	var raw []byte
	for ; len(host) > 0; host = host[8:] {
		word, err := strconv.ParseUint(host[:8], 16, 32)
		if err != nil {
			return false
		}
		raw = binary.NativeEndian.AppendUint32(raw, uint32(word))
	}
	is, ok := netip.AddrFromSlice(raw)
	return ok && is.Unmap() == a.Addr()
}
