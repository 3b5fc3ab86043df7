//go:build unix

package keyrepo

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// changeable tells whether others than this user and the administrator can
// change the file.
func changeable(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	foreign := ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid()
	return foreign || info.Mode().Perm()&0o022 != 0
}

// syncDir lets what was renamed in a folder survive a power failure.
func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
