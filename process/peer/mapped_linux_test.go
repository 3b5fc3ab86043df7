package peer

import "golang.org/x/sys/unix"

// dialMapped connects an IPv6 socket to a port of 127.0.0.1.
func dialMapped(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	to := &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	if err := unix.Connect(fd, to); err != nil {
		closeFD(fd)
		return -1, err
	}
	return fd, nil
}

func closeFD(fd int) { _ = unix.Close(fd) }
