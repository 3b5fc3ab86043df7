//go:build unix

package tree

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isUnfit tells errors of the file system that are due to what the archive
// wants: names that are too long or no text, too many names of one file.
func isUnfit(err error) bool {
	return errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.EILSEQ) || errors.Is(err, unix.EMLINK)
}
