package peer

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// bytesOf appends numbers in the machine's order, and bytes as they are.
func bytesOf(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case int:
			b = binary.LittleEndian.AppendUint32(b, uint32(p))
		}
	}
	return b
}

func port(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

var (
	fourNear, fourFar = netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:50000")
	sixNear, sixFar   = netip.MustParseAddrPort("[::1]:8080"), netip.MustParseAddrPort("[::1]:50000")
)

// TestWindowsTables has the layouts of MIB_TCPROW_OWNER_PID and
// MIB_TCP6ROW_OWNER_PID.
func TestWindowsTables(t *testing.T) {
	t.Parallel()
	four := fourNear.Addr().AsSlice()
	six := sixNear.Addr().AsSlice()
	row := func(from, to uint16, pid int) []byte {
		return bytesOf(5, four, port(from), []byte{9, 9}, four, port(to), []byte{9, 9}, pid)
	}
	row6 := func(from, to uint16, pid int) []byte {
		return bytesOf(six, 0, port(from), []byte{9, 9}, six, 0, port(to), []byte{9, 9}, 5, pid)
	}
	table := bytesOf(2, row(8080, 50000, 11), row(50000, 8080, 22), row(50000, 8080, 33))
	table6 := bytesOf(2, row6(8080, 50000, 11), row6(50000, 8080, 22), row6(50000, 8080, 33))
	if pid, ok := findOwner(table, fourNear, fourFar); !ok || pid != 22 {
		t.Errorf("got %d, %v", pid, ok)
	}
	if pid, ok := findOwner(table6, sixNear, sixFar); !ok || pid != 22 {
		t.Errorf("got %d, %v", pid, ok)
	}
	for name, broken := range map[string][]byte{
		"empty": {}, "cut": table[:len(table)-25], "no rows": bytesOf(0, row(50000, 8080, 22)), "other family": table6,
	} {
		if pid, ok := findOwner(broken[:min(len(broken), 30)], fourNear, fourFar); ok {
			t.Errorf("%s: got %d", name, pid)
		}
	}
}

// TestDarwinLists has the layouts of struct xinpgen, xinpcb_n and xsocket_n.
func TestDarwinLists(t *testing.T) {
	t.Parallel()
	chunk := func(size, kind int, at map[int][]byte) []byte {
		b := append(bytesOf(size, kind), make([]byte, (size+7)&^7-8)...)
		for offset, value := range at {
			copy(b[offset:], value)
		}
		return b
	}
	connection := func(foreign, local netip.AddrPort, user, pid int) []byte {
		put := func(a netip.AddrPort) []byte {
			b := make([]byte, 16)
			copy(b[16-len(a.Addr().AsSlice()):], a.Addr().AsSlice())
			return b
		}
		return bytesOf(
			chunk(104, 0x10, map[int][]byte{16: port(foreign.Port()), 18: port(local.Port()), 48: put(foreign), 64: put(local)}),
			chunk(92, 0x01, map[int][]byte{64: bytesOf(user), 68: bytesOf(pid)}),
			chunk(32, 0x02, nil), chunk(32, 0x04, nil), chunk(40, 0x08, nil), chunk(208, 0x20, nil),
		)
	}
	list := bytesOf(
		chunk(24, 3, nil),
		connection(fourFar, fourNear, 500, 11), connection(fourNear, fourFar, 501, 22), connection(sixNear, sixFar, 502, 33),
		chunk(24, 3, nil),
	)
	if got, ok := findChunk(list, fourNear, fourFar); !ok || got != (holder{501, 22}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	if got, ok := findChunk(list, sixNear, sixFar); !ok || got != (holder{502, 33}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	if got, ok := findChunk(list, fourFar, netip.MustParseAddrPort("127.0.0.1:8081")); ok {
		t.Errorf("got %+v", got)
	}
	for n := range len(list) { // cut anywhere
		_, _ = findChunk(list[:n], sixNear, sixFar)
	}
}

func TestFreeBSDAddresses(t *testing.T) {
	t.Parallel()
	if got, want := freeAddress(fourFar), append([]byte{16, 2, 0xc3, 0x50, 127, 0, 0, 1}, make([]byte, 8)...); !bytes.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	want := append([]byte{28, 28, 0xc3, 0x50}, make([]byte, 24)...)
	want[23] = 1
	if got := freeAddress(sixFar); !bytes.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if user, ok := credentialUser(binary.NativeEndian.AppendUint32(make([]byte, 4), 1001)); !ok || user != 1001 {
		t.Errorf("got %d, %v", user, ok)
	}
	if _, ok := credentialUser([]byte{1, 0, 0, 0, 1, 0, 0, 0}); ok {
		t.Error("another version is read")
	}
}
