//go:build !unix

package keyrepo

import "io/fs"

// changeable is not known: the mode of a file does not say it here.
func changeable(fs.FileInfo) bool { return false }

// syncDir does nothing: folders cannot be synchronized here.
func syncDir(string) error { return nil }
