package mountpoint

import "os"

// ID is the same everywhere: volumes mounted in a directory are reparse
// points, which are treated as links are, without entering them.
type ID struct{}

func idOf(*os.File, string) (ID, error) { return ID{}, nil }
