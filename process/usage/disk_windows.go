package usage

import "io/fs"

// allocated is the size of the file.
func allocated(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}
