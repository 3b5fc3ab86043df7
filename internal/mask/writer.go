package mask

import (
	"cmp"
	"io"
	"slices"
)

// pieceSize is how much is masked at a time.
const pieceSize = 64 << 10

// Writer masks what is written to it. It is not safe for concurrent use.
type Writer struct {
	secrets *Secrets
	to      io.Writer
	held    []byte // withheld
	masked  []byte
	// covered is where the newest stretch of secrets ends, counted from what is
	// withheld; -1 if it is behind. What touches it belongs to it.
	covered int
}

// NewWriter returns a Writer that passes on to another what is written, masked.
func NewWriter(secrets *Secrets, to io.Writer) *Writer {
	return &Writer{secrets: secrets, to: to, covered: -1}
}

// Write passes on what is decided of p and of what was withheld before. It
// takes all of p even if that fails.
func (w *Writer) Write(p []byte) (int, error) {
	x := w.secrets.index.Load()
	if x == nil {
		return w.to.Write(p)
	}
	var first error
	for piece := range slices.Chunk(p, pieceSize) {
		text := piece
		if len(w.held) > 0 {
			text = append(w.held, piece...)
		}
		end := x.undecided(text)
		if err := w.pass(x, text, end); first == nil {
			first = err
		}
		w.held = append(w.held[:0], text[end:]...)
	}
	return len(p), first
}

// Cut passes on what is withheld: what follows does not continue it. At least
// MinLength bytes of a secret's beginning are masked like the whole.
func (w *Writer) Cut() error {
	if len(w.held) == 0 {
		w.covered = -1
		return nil
	}
	text := w.held
	x := w.secrets.index.Load()
	end := x.undecided(text)
	if len(text)-end < MinLength {
		end = len(text)
	}
	err := w.pass(x, text, end)
	if end < len(text) && w.covered < 0 {
		_, failed := io.WriteString(w.to, Mark)
		err = cmp.Or(err, failed)
	}
	w.held, w.covered = w.held[:0], -1
	return err
}

// pass passes on the text before end, with Mark instead of each stretch of
// secrets that begins there.
func (w *Writer) pass(x *index, text []byte, end int) error {
	masked := w.masked[:0]
	done := max(0, w.covered)
	for from := 0; ; {
		begin, after, ok := x.next(text, from)
		if !ok || begin >= end {
			break
		}
		if begin > w.covered {
			masked = append(masked, text[done:begin]...)
			masked = append(masked, Mark...)
		}
		w.covered = max(w.covered, after)
		done = w.covered
		from = begin + 1
	}
	var err error
	if len(masked) > 0 {
		masked = append(masked, text[min(done, end):end]...)
		_, err = w.to.Write(masked)
	} else if done < end {
		_, err = w.to.Write(text[done:end])
	}
	w.masked = masked
	w.covered = max(-1, w.covered-end)
	return err
}
