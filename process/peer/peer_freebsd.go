package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// find asks for the credentials of the socket, which only root may. To the
// kernel, what is far here is the socket's own address.
func find(near, far netip.AddrPort) (end, error) {
	name := "net.inet.tcp.getcred"
	if far.Addr().Is6() {
		name = "net.inet6.tcp6.getcred"
	}
	answer, err := sysctl(name, append(freeAddress(far), freeAddress(near)...))
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSYS):
		return end{}, fmt.Errorf("only root is told: %w", errors.ErrUnsupported)
	case errors.Is(err, syscall.ENOENT):
		return end{}, ErrGone
	case err != nil:
		return end{}, fmt.Errorf("cannot ask for the user of a connection: %w", err)
	}
	user, ok := credentialUser(answer)
	if !ok {
		return end{}, fmt.Errorf("cannot read the kernel's answer: %w", errors.ErrUnsupported)
	}
	return end{user: strconv.FormatUint(uint64(user), 10)}, nil
}

// sysctl calls a sysctl that takes and gives something.
func sysctl(name string, given []byte) ([]byte, error) {
	// __sysctlbyname is newer than the oldest release there is a Go for.
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	// 0.3 is the name of the sysctl that turns a name into numbers.
	query := [2]int32{0, 3}
	var number [24]int32
	size := unsafe.Sizeof(number)
	if _, _, errno := unix.Syscall6(unix.SYS___SYSCTL, uintptr(unsafe.Pointer(&query[0])), 2,
		uintptr(unsafe.Pointer(&number[0])), uintptr(unsafe.Pointer(&size)),
		uintptr(unsafe.Pointer(path)), uintptr(len(name))); errno != 0 {
		return nil, errno
	}
	answer := make([]byte, 256)
	length := uintptr(len(answer))
	if _, _, errno := unix.Syscall6(unix.SYS___SYSCTL, uintptr(unsafe.Pointer(&number[0])), size/unsafe.Sizeof(number[0]),
		uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(&length)),
		uintptr(unsafe.Pointer(&given[0])), uintptr(len(given))); errno != 0 {
		return nil, errno
	}
	return answer[:length], nil
}
