package artifact

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// body is what is sent for an artifact: a known number of bytes that can be
// read from the start again for another attempt.
type body struct {
	open     func() (io.Reader, error)
	stored   int64  // bytes to send
	content  int64  // bytes before encoding
	sum      string // sha256 of the content; "" until it was sent once
	hashed   bool   // the hash is computed, or checked, while sending
	encoding string // "" where the storage keeps none
	release  func()
}

// prepare returns the body of a file. It reads the whole file only if an
// encoded copy has to be made, whose length the storage must know beforehand.
func (p *Publisher) prepare(ctx context.Context, f File) (*body, error) {
	src, err := newSource(f)
	if err != nil {
		return nil, err
	}
	if f.Encoded != nil {
		return p.encoded(f, src), nil
	}
	read, size := src.reader, src.size()
	if size == 0 {
		content, err := src.pseudo()
		if err != nil {
			return nil, err
		}
		read, size = func() io.Reader { return bytes.NewReader(content) }, int64(len(content))
	}
	if f.ContentEncoding == Gzip && !p.Object {
		return p.encode(ctx, read(), size)
	}
	return p.stream(f, read, size), nil
}

// stream sends a file as it is.
func (p *Publisher) stream(f File, read func() io.Reader, size int64) *body {
	b := &body{stored: size, content: size, hashed: true, release: func() {}}
	b.open = func() (io.Reader, error) { return read(), nil }
	if !p.Object {
		b.encoding = f.ContentEncoding
	}
	return b
}

// encoded sends a file that holds encoded bytes. Object storage keeps no
// encoding, so there it is decoded on the way.
func (p *Publisher) encoded(f File, src *source) *body {
	b := p.stream(f, src.reader, src.size())
	b.content, b.sum, b.hashed = f.Encoded.Bytes, f.Encoded.SHA256, false
	if p.Object && f.ContentEncoding == Gzip {
		b.stored, b.hashed = f.Encoded.Bytes, true
		b.open = func() (io.Reader, error) {
			r, err := gzip.NewReader(src.reader())
			if err != nil {
				return nil, fmt.Errorf("cannot decode %s: %w", src.name, err)
			}
			return r, nil
		}
	}
	return b
}
