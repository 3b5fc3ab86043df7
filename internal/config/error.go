package config

import (
	"strings"

	"github.com/taskcluster/generic-worker/internal/document"
)

// Fault is the worst of what is wrong with a configuration.
type Fault int

// Faults, the worst first.
const (
	// Unreadable: no file, no syntax, an unknown key or variable, a wrong type.
	Unreadable Fault = iota
	// Invalid: everything can be read, but a value is missing or cannot work.
	Invalid
	// Exposed: the file can be read or changed by those who must not.
	Exposed
)

// Error is everything that is wrong with a configuration.
type Error struct {
	Fault    Fault
	Problems document.Problems // in order of position, at least one
}

// maxLines bounds the text of an Error.
const maxLines = 200

// Error returns one line per problem: where, what, and what to write instead.
func (e *Error) Error() string {
	var b strings.Builder
	for i, problem := range e.Problems {
		if i == maxLines {
			b.WriteString("\n... and more")
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(problem.String())
	}
	return b.String()
}
