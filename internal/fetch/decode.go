package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

const decoderBuffer = 64 << 10

// gunzip decodes; what has no bytes at all decodes to nothing.
type gunzip struct {
	from *stream
	to   *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.to == nil {
		buffered := bufio.NewReaderSize(g.from, decoderBuffer)
		if _, err := buffered.Peek(1); err == io.EOF {
			return 0, io.EOF
		}
		to, err := gzip.NewReader(buffered)
		if err == io.EOF { // inside its head
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, notGzip(err)
		}
		g.to = to
	}
	n, err := g.to.Read(p)
	return n, notGzip(err)
}

func notGzip(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if err == io.ErrUnexpectedEOF {
		return errors.New("cannot decode it: the gzip data ends early")
	}
	return fmt.Errorf("cannot decode it: %w", err)
}
