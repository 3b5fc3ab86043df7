// Package lzip reads the compressed format of the lzip program: members one
// after another, each an LZMA stream between a header and a trailer that says
// how long it is and what its checksum is. It reads as a stream and allocates
// no dictionary larger than it is allowed to.
package lzip

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

const (
	magic       = "LZIP"
	headerSize  = 6
	trailerSize = 20
	leastDict   = 1 << 12
	mostDict    = 1 << 29
	// mostUnused is how much larger than their content the dictionaries of all
	// members may be: less than a second's worth of making them.
	mostUnused = 1 << 30
)

var (
	errFormat   = errors.New("it is not an lzip file")
	errTrailing = errors.New("bytes follow the last lzip member that are none")
	errUnused   = errors.New("its members have dictionaries that are far larger than what is in them")
	errChecksum = errors.New("the checksum or the length of an lzip member is wrong")
)

// Reader reads what lzip members unpack to. Its errors are about the content
// or those of the reader below; io.ErrUnexpectedEOF is the end within a member.
type Reader struct {
	r      *bufio.Reader
	memory int64
	lzma   *lzma.Reader // nil between members
	member *member
	some   bool // there was a member
	dict   int64
	unused int64 // of all dictionaries so far
	sum    uint32
	size   uint64
}

// NewReader returns a reader of r that takes no more than memory bytes for a
// dictionary.
func NewReader(r *bufio.Reader, memory int64) *Reader {
	return &Reader{r: r, memory: memory}
}

// Read implements io.Reader.
func (z *Reader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if z.lzma == nil {
			if err := z.begin(); err != nil {
				return 0, err
			}
		}
		n, err := z.lzma.Read(p)
		z.sum = crc32.Update(z.sum, crc32.IEEETable, p[:n])
		z.size += uint64(n)
		if err == io.EOF {
			err = z.end()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// begin reads the header of a member. At the end of the file it returns io.EOF.
func (z *Reader) begin() error {
	var header [headerSize]byte
	n, err := io.ReadFull(z.r, header[:])
	switch {
	case err == io.EOF && z.some:
		return io.EOF
	case err == io.EOF || err == io.ErrUnexpectedEOF && n < len(magic):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case string(header[:4]) != magic && z.some:
		return errTrailing
	case string(header[:4]) != magic:
		return errFormat
	case header[4] != 1:
		return fmt.Errorf("it is lzip version %d, and only version 1 can be read", header[4])
	}
	dict := int64(1) << (header[5] & 0x1f)
	dict -= dict / 16 * int64(header[5]>>5)
	if dict < leastDict || dict > mostDict {
		return fmt.Errorf("an lzip dictionary of %d bytes is outside of what the format allows", dict)
	}
	if dict > z.memory {
		return fmt.Errorf("it needs a dictionary of %d bytes, and the limit is %d", dict, z.memory)
	}
	z.member = &member{header: lzmaHeader(dict), r: z.r}
	z.lzma, err = lzma.ReaderConfig{DictCap: int(dict)}.NewReader(z.member)
	z.some, z.sum, z.size, z.dict = true, 0, 0, dict
	return err
}

// lzmaHeader is what an lzma file with an end marker would begin with.
func lzmaHeader(dict int64) []byte {
	header := []byte{lzma.Properties{LC: 3, LP: 0, PB: 2}.Code()}
	header = binary.LittleEndian.AppendUint32(header, uint32(dict))
	return binary.LittleEndian.AppendUint64(header, 1<<64-1)
}

// end reads the trailer of a member and compares what it says.
func (z *Reader) end() error {
	var trailer [trailerSize]byte
	if _, err := io.ReadFull(z.r, trailer[:]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	whole := z.member.count + headerSize + trailerSize
	if binary.LittleEndian.Uint32(trailer[:]) != z.sum || binary.LittleEndian.Uint64(trailer[4:]) != z.size ||
		binary.LittleEndian.Uint64(trailer[12:]) != whole {
		return errChecksum
	}
	z.lzma, z.member = nil, nil
	z.unused += max(0, z.dict-int64(min(z.size, mostDict)))
	if z.unused > mostUnused {
		return errUnused
	}
	return nil
}

// member gives a decoder the header it expects, then the bytes of a member,
// never more than it asks for.
type member struct {
	header []byte
	r      *bufio.Reader
	count  uint64 // of r
}

// Read implements io.Reader.
func (m *member) Read(p []byte) (int, error) {
	if len(m.header) > 0 {
		n := copy(p, m.header)
		m.header = m.header[n:]
		return n, nil
	}
	n, err := m.r.Read(p)
	m.count += uint64(n)
	return n, err
}

// ReadByte implements io.ByteReader.
func (m *member) ReadByte() (byte, error) {
	b, err := m.r.ReadByte()
	if err == nil {
		m.count++
	}
	return b, err
}
