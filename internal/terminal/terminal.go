// Package terminal shows the output of tasks to a person without letting it
// act on the terminal.
package terminal

import (
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// Is tells whether what is written to w is seen by a person.
func Is(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Visible passes a log on to To, but shows control characters instead of
// sending them: on a terminal a task's output could rename windows or type
// commands. Tabs, line ends and colors pass. Text that could be the beginning
// of a color is held back until the next Write.
type Visible struct {
	To      io.Writer
	pending []byte // the beginning of a sequence whose end has not come
}

// longestSequence bounds what is held back waiting for the end of a color.
const longestSequence = 32

// Write shows p; it takes all of p or fails.
func (v *Visible) Write(p []byte) (int, error) {
	text := append(v.pending, p...)
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		shown, n := next(text)
		if n == 0 {
			break
		}
		out = append(out, shown...)
		text = text[n:]
	}
	v.pending = append([]byte(nil), text...)
	if _, err := v.To.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// next returns what to show for the beginning of text, and how much of text
// that is; 0 if more must be known first.
func next(text []byte) (shown []byte, n int) {
	c := text[0]
	switch {
	case c == '\n' || c == '\t' || c == '\r' || c >= 0x20 && c < 0x7f:
		return text[:1], 1
	case c == 0x1b:
		return color(text)
	case c < 0x20 || c == 0x7f:
		return []byte{'^', c ^ 0x40}, 1
	case !utf8.FullRune(text):
		return nil, 0
	}
	r, size := utf8.DecodeRune(text)
	if r == utf8.RuneError && size <= 1 || r >= 0x80 && r < 0xa0 || isDirection(r) {
		return []byte("\ufffd"), max(size, 1)
	}
	return text[:size], size
}

// isDirection tells whether a rune reorders the text around it.
func isDirection(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// color passes ESC [ digits and semicolons m, and shows any other escape.
func color(text []byte) (shown []byte, n int) {
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case i == 1 && c == '[', i > 1 && (c >= '0' && c <= '9' || c == ';'):
			if i >= longestSequence {
				return []byte("^["), 1
			}
		case i > 1 && c == 'm':
			return text[:i+1], i + 1
		default:
			return []byte("^["), 1
		}
	}
	return nil, 0
}
