package peer

import (
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// find looks for the connection in the system's table, and for the user of the
// process that has it.
func find(near, far netip.AddrPort) (end, error) {
	table, err := connections(far.Addr().Is6())
	if err != nil {
		return end{}, err
	}
	pid, ok := findOwner(table, near, far)
	if !ok {
		return end{}, ErrGone
	}
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return end{}, fmt.Errorf("cannot look at process %d: %w", pid, err)
	}
	defer func() { _ = windows.CloseHandle(process) }()
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return end{}, fmt.Errorf("cannot look at process %d: %w", pid, err)
	}
	defer token.Close()
	user, err := NameOf(token)
	return end{user: user}, err
}

// connections returns the table of GetExtendedTcpTable.
func connections(six bool) ([]byte, error) {
	const ownerOfConnections = 4 // TCP_TABLE_OWNER_PID_CONNECTIONS
	call := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	if err := call.Find(); err != nil {
		return nil, fmt.Errorf("cannot list the system's connections: %w", err)
	}
	family := uintptr(windows.AF_INET)
	if six {
		family = windows.AF_INET6
	}
	for size := uint32(64 << 10); ; {
		table := make([]byte, size)
		code, _, _ := call.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0, family, ownerOfConnections, 0)
		switch syscall.Errno(code) {
		case 0:
			return table, nil
		case windows.ERROR_INSUFFICIENT_BUFFER:
			size += size / 4 // it grows while we ask
		default:
			return nil, fmt.Errorf("cannot list the system's connections: %w", syscall.Errno(code))
		}
	}
}
