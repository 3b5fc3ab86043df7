package tree

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isUnfit tells errors of the file system that are due to what the archive
// wants: names that are too long or not allowed, too many names of one file.
func isUnfit(err error) bool {
	return errors.Is(err, windows.ERROR_FILENAME_EXCED_RANGE) || errors.Is(err, windows.ERROR_INVALID_NAME) ||
		errors.Is(err, windows.ERROR_TOO_MANY_LINKS)
}
