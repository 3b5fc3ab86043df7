//go:build unix

package output

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const pipeSize = 1 << 20 // more than a system allows an ordinary user is not asked for

// Drain returns when all that is in the pipe has been written. A process
// outside our reach that still holds the other end delays nothing.
func (o *Output) Drain() {
	_ = o.pipe.SetReadDeadline(time.Now())
	<-o.done
	_ = o.pipe.Close()
}

// rest reads what is in the pipe now. A read with an expired deadline returns
// nothing even if there is something, so this goes beneath it. The bound is for
// a writer outside our reach that never pauses.
func (o *Output) rest(buf []byte) {
	conn, err := o.pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		for total := 0; total <= pipeSize; {
			n, err := unix.Read(int(fd), buf)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 {
				return
			}
			total += n
			o.write(buf[:n])
		}
	})
}

// pipeFiles makes the reading end non-blocking, so that reads can be given a
// deadline, and leaves the end a command gets as programs expect it.
func pipeFiles(fds [2]int) (r, w *os.File, err error) {
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "output"), os.NewFile(uintptr(fds[1]), "output"), nil
}
