package peer

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// find asks the kernel for the one socket, or looks for it in the kernel's
// list where it cannot be asked, as in some sandboxes.
func find(near, far netip.AddrPort) (end, error) {
	s, err := diagnose(near, far)
	if err != nil {
		s, err = listed(near, far)
	}
	if err != nil {
		return end{}, err
	}
	return end{user: strconv.FormatUint(uint64(s.user), 10), processes: holders(s)}, nil
}

// diagnose uses sock_diag(7).
func diagnose(near, far netip.AddrPort) (socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return socket{}, fmt.Errorf("cannot ask the kernel: %w", err)
	}
	defer unix.Close(fd)
	limit := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return socket{}, fmt.Errorf("cannot ask the kernel: %w", err)
	}
	if err := unix.Sendto(fd, diagRequest(near, far), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return socket{}, fmt.Errorf("cannot ask the kernel: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return socket{}, fmt.Errorf("cannot ask the kernel: %w", err)
	}
	return parseDiag(answer[:n], near, far)
}

func listed(near, far netip.AddrPort) (socket, error) {
	files := []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} // an IPv6 socket can have an IPv4 connection
	if far.Addr().Is6() {
		files = files[1:]
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if s, ok := parseList(text, near, far); ok {
			return s, nil
		}
	}
	return socket{}, ErrGone
}

// holders are the processes of the socket's user that have it open, the newest
// first: who has just connected has mostly just been started.
func holders(s socket) iter.Seq[int] {
	return func(yield func(int) bool) {
		name := "socket:[" + strconv.FormatUint(uint64(s.inode), 10) + "]"
		for _, pid := range processes() {
			dir := "/proc/" + strconv.Itoa(pid)
			if info, err := os.Stat(dir); err != nil || !of(info, s.user) {
				continue
			}
			if opens(dir+"/fd", name) && !yield(pid) {
				return
			}
		}
	}
}

// of tells whether the directory is of the user's process. That of a process
// which may not be looked into is root's.
func of(info os.FileInfo, user uint32) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == user || stat.Uid == 0)
}

// processes are the numbers of all processes, from the highest on.
func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.SortFunc(pids, func(a, b int) int { return cmp.Compare(b, a) })
	return pids
}

func opens(dir, name string) bool {
	fds, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer fds.Close()
	names, _ := fds.Readdirnames(-1)
	return slices.ContainsFunc(names, func(fd string) bool {
		to, err := os.Readlink(dir + "/" + fd)
		return err == nil && to == name
	})
}
