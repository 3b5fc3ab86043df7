//go:build !unix

package taskdir

import "os"

const openFlags = os.O_RDONLY
