package tree

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// data returns where the next bytes of a file of that size are that are no hole;
// all of them where the file system cannot tell.
func data(file *os.File, at, size int64) (begin, end int64) {
	begin, err := file.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size
	}
	if err == nil {
		end, err = file.Seek(begin, unix.SEEK_HOLE)
	}
	if err != nil {
		return at, size
	}
	return min(begin, size), min(end, size)
}
