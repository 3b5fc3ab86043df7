package survey

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// Properties of a 7z header.
const (
	idEnd = iota
	idHeader
	idArchiveProperties
	idAdditionalStreams
	idMainStreams
	idFiles
	idPack
	idUnpack
	idSubStreams
	idSize
	idCRC
	idFolder
	idUnpackSize
	idNumStreams
)

const (
	idEncodedHeader = 0x17
	signatureSize   = 32
	mostCoders      = 32
	mostStreams     = 32
	// mostHeader is how large an index may be: about 100 bytes for each of the
	// most entries.
	mostHeader = 128 << 20
)

var errEncrypted = errors.New("it is encrypted; make the archive without a password")

// coder is one step of unpacking.
type coder struct {
	method     string
	properties []byte
	in, out    uint64
}

// folder is a chain of coders that together unpack one stream.
type folder struct {
	coders []coder
	packed uint64 // number of packed streams
	sizes  []uint64
}

// streams is what a header says about packed data.
type streams struct {
	position uint64
	sizes    []uint64
	folders  []folder
}

// SevenZip returns why a 7z file should not be opened, or nil. It reads the
// whole index in the way the format describes it and refuses everything else,
// since what it does not know may be read in another way later.
func SevenZip(r io.ReaderAt, size int64, bounds Bounds) error {
	var start [signatureSize]byte
	if _, err := r.ReadAt(start[:], 0); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if string(start[:6]) != "7z\xbc\xaf\x27\x1c" {
		return errFormat
	}
	offset, length := binary.LittleEndian.Uint64(start[12:]), binary.LittleEndian.Uint64(start[20:])
	if left := uint64(size - signatureSize); offset > left || length > left-offset {
		return fmt.Errorf("its index would be behind its end: %w", io.ErrUnexpectedEOF)
	}
	if length == 0 {
		return errFormat // nothing was ever put into it
	}
	if length > mostHeader {
		return fmt.Errorf("its index has more than %d bytes, which is the limit", mostHeader)
	}
	header := make([]byte, length)
	if _, err := r.ReadAt(header, signatureSize+int64(offset)); err != nil && err != io.EOF {
		return err
	}
	p := &parser{rest: header, bounds: bounds}
	switch p.byte() {
	case idHeader:
		p.header()
		return p.err
	case idEncodedHeader:
		packed := p.streams()
		if p.err != nil {
			return p.err
		}
		header, err := unpackHeader(r, size, packed)
		if err != nil {
			return err
		}
		p = &parser{rest: header, bounds: bounds}
		if p.byte() != idHeader {
			return errFormat
		}
		p.header()
		return p.err
	}
	return errFormat
}

// unpackHeader unpacks a packed index, in the way 7z packs it: with LZMA alone.
func unpackHeader(r io.ReaderAt, size int64, s streams) ([]byte, error) {
	if len(s.folders) != 1 || len(s.folders[0].coders) != 1 || len(s.sizes) != 1 || len(s.folders[0].sizes) != 1 {
		if len(s.folders) == 1 && s.folders[0].encrypted() {
			return nil, errEncrypted
		}
		return nil, errors.New("its index is packed in a way that cannot be read")
	}
	c, length, left := s.folders[0].coders[0], s.folders[0].sizes[0], uint64(size-signatureSize)
	if s.position > left || s.sizes[0] > left-s.position {
		return nil, io.ErrUnexpectedEOF
	}
	if length > mostHeader {
		return nil, fmt.Errorf("its index has more than %d bytes, which is the limit", mostHeader)
	}
	var packed io.Reader = io.NewSectionReader(r, signatureSize+int64(s.position), int64(s.sizes[0]))
	switch c.method {
	case methodCopy:
	case methodLZMA:
		start := binary.LittleEndian.AppendUint64(bytes.Clone(c.properties), length)
		unpacked, err := lzma.NewReader(io.MultiReader(bytes.NewReader(start), packed))
		if err != nil {
			return nil, err
		}
		packed = unpacked
	default:
		return nil, errors.New("its index is packed in a way that cannot be read")
	}
	header, err := io.ReadAll(io.LimitReader(packed, int64(length)))
	if err == nil && uint64(len(header)) < length {
		err = io.ErrUnexpectedEOF
	}
	return header, err
}
