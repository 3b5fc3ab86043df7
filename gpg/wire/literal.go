package wire

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/zlib"
	"io"
)

const (
	// mostCompressions is how deep compressed data may be nested. Programs
	// compress once.
	mostCompressions = 2
	// roomForSignatures is what may stand around the plain text.
	roomForSignatures = 16 << 10
)

// Literal finds the plain text of at most limit bytes in the content of a
// message: the one literal packet in it, compressed or not, without looking at
// signatures. The error is ErrDamaged, ErrTrailing or ErrTooLarge.
func Literal(content []byte, limit int) ([]byte, error) {
	return literal(content, limit, 0)
}

func literal(content []byte, limit, depth int) ([]byte, error) {
	var found [][]byte
	for len(content) > 0 {
		p, rest, ok := Next(content)
		if !ok {
			return nil, ErrDamaged
		}
		content = rest
		switch p.Tag {
		case TagOnePass, TagSignature, TagMarker, TagPadding:
		case TagCompressed:
			inner, err := inflate(p.Body, limit+roomForSignatures, depth)
			if err != nil {
				return nil, err
			}
			text, err := literal(inner, limit, depth+1)
			if err != nil {
				return nil, err
			}
			found = append(found, text)
		case TagLiteral:
			text, err := literalText(p.Body, limit)
			if err != nil {
				return nil, err
			}
			found = append(found, text)
		default:
			return nil, ErrDamaged
		}
		if len(found) > 1 {
			return nil, ErrTrailing
		}
	}
	if len(found) == 0 {
		return nil, ErrDamaged
	}
	return found[0], nil
}

// literalText takes the text from behind its format, file name and date. What
// is marked as text travels with the line end CR LF, whatever it was before.
func literalText(body []byte, limit int) ([]byte, error) {
	const fixed = 6
	if len(body) < fixed || len(body) < fixed+int(body[1]) {
		return nil, ErrDamaged
	}
	text := body[fixed+int(body[1]):]
	if len(text) > limit {
		return nil, ErrTooLarge
	}
	if format := body[0]; format == 't' || format == 'u' {
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	}
	return text, nil
}

// inflate decompresses to at most limit bytes.
func inflate(body []byte, limit, depth int) ([]byte, error) {
	if depth == mostCompressions {
		return nil, ErrTooLarge
	}
	if len(body) == 0 {
		return nil, ErrDamaged
	}
	compressed := bytes.NewReader(body[1:])
	var r io.Reader
	switch body[0] {
	case 0:
		r = compressed
	case 1:
		r = flate.NewReader(compressed)
	case 2:
		z, err := zlib.NewReader(compressed)
		if err != nil {
			return nil, ErrDamaged
		}
		r = z
	case 3:
		r = bzip2.NewReader(compressed)
	default:
		return nil, ErrDamaged
	}
	content, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case len(content) > limit:
		return nil, ErrTooLarge
	case err != nil:
		return nil, ErrDamaged
	}
	return content, nil
}
