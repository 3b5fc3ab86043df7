//go:build !unix

package platform

import "io/fs"

// Elsewhere the mode of a file does not say who can read it.

func exposed(fs.FileInfo) bool { return false }
func foreign(fs.FileInfo) bool { return false }
