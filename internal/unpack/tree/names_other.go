//go:build !windows && !darwin

package tree

// foldsCase tells whether file systems usually take A and a for one name.
const foldsCase = false

// unusable says why part of a path cannot be the name of a file, or "".
func unusable(string) string { return "" }

// unusableLink tells whether a link leads to a drive or a stream.
func unusableLink(string) bool { return false }
