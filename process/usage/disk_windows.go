package usage

import (
	"io/fs"
	"os"
)

const openDirectory = os.O_RDONLY

// allocated is the size of the file.
func allocated(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}
