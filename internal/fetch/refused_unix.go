//go:build unix

package fetch

import "golang.org/x/sys/unix"

// connectionRefused is that nothing listens where a connection was to go.
const connectionRefused = unix.ECONNREFUSED
