//go:build !unix

package config

import "io/fs"

// Elsewhere the mode of a file does not say who can read it.

func readableByOthers(fs.FileInfo) bool   { return false }
func changeableByOthers(fs.FileInfo) bool { return false }
func writableByAll(fs.FileInfo) bool      { return false }
