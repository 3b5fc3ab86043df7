//go:build unix

package peer

import (
	"os"
	"strconv"
)

const root = "0"

// Self is the user of this process.
func Self() (string, error) { return strconv.Itoa(os.Geteuid()), nil }
