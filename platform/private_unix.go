//go:build unix

package platform

import (
	"io/fs"
	"os"
	"syscall"
)

// exposed tells whether others than the owner can read or change the file.
func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o066 != 0 }

// foreign tells whether the owner is neither this user nor the administrator.
func foreign(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid()
}
