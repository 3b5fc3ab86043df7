package tree

import "os"

// data returns where the next bytes of a file of that size are: all of them.
func data(_ *os.File, at, size int64) (begin, end int64) { return at, size }
