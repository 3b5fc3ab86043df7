//go:build unix

package usage

import (
	"io/fs"
	"os"
	"syscall"
)

// openDirectory opens nothing else: a named pipe would have to be waited for.
const openDirectory = os.O_RDONLY | syscall.O_DIRECTORY

// allocated is what the file occupies, which is less than its size if it has
// holes.
func allocated(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(stat.Blocks) * 512
	}
	return info.Size()
}
