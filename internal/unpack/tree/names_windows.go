package tree

import (
	"path/filepath"
	"strings"
)

// foldsCase tells whether file systems usually take A and a for one name.
const foldsCase = true

// unusable says why part of a path cannot be the name of a file, or "".
func unusable(part string) string {
	switch {
	case strings.ContainsRune(part, ':'):
		return "a colon begins the name of an NTFS stream"
	case strings.ContainsAny(part, `<>"|?*\`):
		return `none of <>"|?*\ may be in it`
	case strings.TrimRight(part, ". ") != part:
		return "it ends with a dot or a space, which Windows drops"
	case !filepath.IsLocal(part):
		return "Windows reserves it for a device"
	}
	return ""
}

// unusableLink tells whether a link leads to a drive, a stream or a root.
func unusableLink(link string) bool {
	return strings.ContainsRune(link, ':') || strings.HasPrefix(link, "/")
}
