//go:build unix

package taskdir

import (
	"os"
	"syscall"
)

// openFlags keep the open of a named pipe, put in place of a file after it was looked at, from waiting for a writer.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK
