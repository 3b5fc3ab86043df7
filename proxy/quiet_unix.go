//go:build unix

package proxy

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tellsQuiet tells whether this platform has an answer for quiet.
const tellsQuiet = true

// quiet tells whether the connection is open and nothing has arrived on it that
// was not read. It does not wait.
func quiet(c net.Conn) bool {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	socket, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	nothing := false
	err = socket.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		nothing = errors.Is(err, unix.EAGAIN)
		return true
	})
	return err == nil && nothing
}
