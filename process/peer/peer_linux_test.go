package peer

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// connect makes a connection within this machine.
func connect(t *testing.T, network, address string) (near, far netip.AddrPort, client *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("%s cannot be listened on: %v", address, err)
	}
	defer listener.Close()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server.LocalAddr().(*net.TCPAddr).AddrPort(), server.RemoteAddr().(*net.TCPAddr).AddrPort(), c.(*net.TCPConn)
}

// TestBothWaysAgree asks the kernel and reads its list.
func TestBothWaysAgree(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		near, far, client := connect(t, "tcp", address)
		asked, err := diagnose(near, far)
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
		read, err := listed(near, far)
		if err != nil || asked != read || read.inode == 0 || read.user != uint32(os.Geteuid()) {
			t.Errorf("%s: asked %+v, read %+v, %v", address, asked, read, err)
		}
		if pids := slices.Collect(holders(read)); !slices.Contains(pids, os.Getpid()) {
			t.Errorf("%s: held by %v, without %d", address, pids, os.Getpid())
		}
		user, err := Self()
		if err != nil {
			t.Error(err)
		}
		check := func(near, far netip.AddrPort, user string, mine bool) error {
			return Check(near, far, user, func(pid int) bool { return mine && pid == os.Getpid() })
		}
		if err := check(near, far, user, true); err != nil {
			t.Error(err)
		}
		if err := check(near, far, user, false); err == nil {
			t.Error("a process that is not mine passes")
		}
		if err := check(near, far, "12345", false); (err == nil) != (user == root) {
			t.Errorf("as user %s for 12345: %v", user, err)
		}
		other := netip.AddrPortFrom(far.Addr(), far.Port()^1)
		if err := check(near, other, user, true); err == nil {
			t.Error("another port passes")
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		if err := check(near, far, user, true); !errors.Is(err, ErrGone) && !strings.Contains(err.Error(), "not") {
			t.Errorf("a closed end: %v", err)
		}
	}
}

// TestMappedAddresses has an IPv6 socket with an IPv4 connection.
func TestMappedAddresses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	fd, err := dialMapped(port)
	if err != nil {
		t.Skipf("there are no mapped addresses here: %v", err)
	}
	defer closeFD(fd)
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	near, far := server.LocalAddr().(*net.TCPAddr).AddrPort(), server.RemoteAddr().(*net.TCPAddr).AddrPort()
	user, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(near, far, user, func(pid int) bool { return pid == os.Getpid() }); err != nil {
		t.Error(err)
	}
	if _, err := listed(unmap(near), unmap(far)); err != nil {
		t.Error(err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	four, six := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[::1]:1")
	for _, pair := range [][2]netip.AddrPort{{}, {four, six}, {six, four}, {four, {}}} {
		if err := Check(pair[0], pair[1], "0", nil); !errors.Is(err, ErrGone) {
			t.Errorf("%v: %v", pair, err)
		}
	}
}

func TestParseList(t *testing.T) {
	t.Parallel()
	const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 22222 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 30 10 -1
   3: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 33333 1 0
   4: 00000000000000000000000001000000:C351 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 44444 1 0
   5: broken`
	for _, test := range []struct {
		near, far string
		want      socket
	}{
		{"127.0.0.1:50000", "127.0.0.1:8080", socket{0, 22222}},
		{"127.0.0.1:8080", "127.0.0.1:50000", socket{1001, 33333}},
		{"[::1]:8080", "[::1]:50001", socket{1002, 44444}},
		{"127.0.0.1:8080", "127.0.0.1:50001", socket{}},
	} {
		got, ok := parseList([]byte(text), netip.MustParseAddrPort(test.near), netip.MustParseAddrPort(test.far))
		if got != test.want || ok != (test.want != socket{}) {
			t.Errorf("from %s: %+v", test.far, got)
		}
	}
}

func FuzzParsers(f *testing.F) {
	near, far := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("[::1]:50000")
	f.Add([]byte("   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 22222 1 0"))
	f.Add(diagRequest(near, near))
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, far := range []netip.AddrPort{near, far} {
			_, _ = parseList(b, near, far)
			_, _ = parseDiag(b, near, far)
			_, _ = findOwner(b, near, far)
			_, _ = findChunk(b, near, far)
			_, _ = credentialUser(b)
		}
	})
}
