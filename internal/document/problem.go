package document

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	Name    string // of the document; empty where the reader knows which is meant
	Pointer string // JSON pointer to the value, or to where a missing one belongs
	Line    int    // of the value's start, counted from 1; 0 if unknown
	Column  int    // in characters, counted from 1
	What    string // is wrong, as the rest of a sentence about the value
	Remedy  string // what to write instead; may be empty
}

// String returns the problem in one line: the pointer, what is wrong and what to
// write instead, with the position in front if the document has a name.
func (p Problem) String() string {
	var b strings.Builder
	if p.Name != "" {
		b.WriteString(p.Name)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Pointer != "" {
		b.WriteString(printable(p.Pointer, maxPointer))
		b.WriteString(": ")
	}
	b.WriteString(p.What)
	if p.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(p.Remedy)
	}
	return b.String()
}

// maxLines bounds the text of an answer, however many problems there are.
const maxLines = 20

// Problems are everything that is wrong with a document, in order of position.
type Problems []Problem

// Error returns one line per problem, and 20 lines at most: of more problems the
// first 19 are shown and the rest is counted.
func (p Problems) Error() string {
	shown := p
	if len(p) > maxLines {
		shown = p[:maxLines-1]
	}
	lines := make([]string, 0, maxLines)
	for _, problem := range shown {
		lines = append(lines, problem.String())
	}
	if rest := len(p) - len(shown); rest > 0 {
		lines = append(lines, fmt.Sprintf("... and %d more", rest))
	}
	return strings.Join(lines, "\n")
}

// Sort orders problems by position and then by pointer, and removes those that
// say the same about the same value.
func (p Problems) Sort() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.What, b.What),
		)
	})
	return slices.Compact(p)
}

const (
	maxQuoted  = 40  // characters of a value
	maxPointer = 120 // characters of a pointer
)

// Quote returns text in quotes, with what is not printable escaped and with no
// more than its first 40 characters.
func Quote(text string) string { return `"` + printable(text, maxQuoted) + `"` }

func printable(text string, limit int) string {
	cut := ""
	if utf8.RuneCountInString(text) > limit {
		count := 0
		for i := range text {
			if count == limit {
				text, cut = text[:i], "…"
				break
			}
			count++
		}
	}
	quoted := fmt.Sprintf("%q", text)
	return quoted[1:len(quoted)-1] + cut
}
