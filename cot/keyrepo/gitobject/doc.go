// Package gitobject reads git's objects: tags, directories and commits.
package gitobject

import "errors"

// ErrDamaged is an object that is missing, broken, or not the one that its hash
// names.
var ErrDamaged = errors.New("damaged git repository")
