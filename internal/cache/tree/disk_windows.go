package tree

import (
	"path/filepath"
	"strings"
)

// SameDisk tells whether two directories are on the same volume.
func SameDisk(a, b string) (bool, error) {
	return strings.EqualFold(filepath.VolumeName(a), filepath.VolumeName(b)), nil
}
