//go:build unix

package config

import "io/fs"

func readableByOthers(info fs.FileInfo) bool   { return info.Mode().Perm()&0o044 != 0 }
func changeableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }
func writableByAll(info fs.FileInfo) bool      { return info.Mode().Perm()&0o002 != 0 }
