// Package survey looks at the index of a zip or 7z archive, without keeping
// it, before a library reads it into memory: those libraries believe what an
// index says about how much of everything there is.
package survey

import (
	"errors"
	"fmt"
)

// Bounds are what an index may ask for.
type Bounds struct {
	Entries int64
	Memory  int64 // bytes of names and other texts, and of one decoder's dictionaries
}

var errFormat = errors.New("its index is damaged, or it is no archive of this format")

func (b Bounds) tooMany() error {
	return fmt.Errorf("it has more than %d entries, which is the limit", b.Entries)
}
