package survey

import (
	"encoding/binary"
	"fmt"
)

// Methods of 7z.
const (
	methodCopy  = "\x00"
	methodLZMA  = "\x03\x01\x01"
	methodLZMA2 = "\x21"
	methodAES   = "\x06\xf1\x07\x01"
)

// bounded are the methods that need no more than 16 MiB.
var bounded = map[string]string{
	methodCopy:         "copy",
	"\x03":             "delta",
	"\x03\x03\x01\x03": "BCJ",
	"\x03\x03\x01\x1b": "BCJ2",
	"\x03\x03\x02\x05": "PPC",
	"\x03\x03\x05\x01": "ARM",
	"\x03\x03\x08\x05": "SPARC",
	"\x04\x01\x08":     "deflate",
	"\x04\x02\x02":     "bzip2",
	"\x04\xf7\x11\x02": "brotli",
	"\x04\xf7\x11\x04": "LZ4",
}

// parser reads a 7z header. After an error everything it reads is zero.
type parser struct {
	rest   []byte
	bounds Bounds
	err    error
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.rest = nil
}

func (p *parser) take(n uint64) []byte {
	if n > uint64(len(p.rest)) {
		p.fail(errFormat)
		return nil
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *parser) byte() byte {
	if b := p.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// number reads a number of up to eight bytes after one, whose leading ones
// tell how many they are.
func (p *parser) number() uint64 {
	first := p.byte()
	var value uint64
	mask := byte(0x80)
	for i := range 8 {
		if first&mask == 0 {
			return value + uint64(first&(mask-1))<<(8*i)
		}
		value |= uint64(p.byte()) << (8 * i)
		mask >>= 1
	}
	return value
}

// count reads a number of things, each of which has at least a byte.
func (p *parser) count() uint64 {
	n := p.number()
	if n > uint64(len(p.rest)) {
		p.fail(errFormat)
		return 0
	}
	return n
}

func (p *parser) expect(id byte) {
	if p.byte() != id && p.err == nil {
		p.fail(errFormat)
	}
}

// header reads what follows idHeader.
func (p *parser) header() {
	id := p.byte()
	if id == idMainStreams {
		p.streams()
		id = p.byte()
	}
	if id == idFiles {
		p.files()
		id = p.byte()
	}
	if id != idEnd || len(p.rest) > 0 {
		p.fail(errFormat)
	}
}

// files reads how many there are; what is said about them has its length.
func (p *parser) files() {
	n := p.number()
	if p.err == nil && n > uint64(p.bounds.Entries) {
		p.fail(p.bounds.tooMany())
	}
	for p.err == nil {
		if p.byte() == idEnd {
			return
		}
		p.take(p.number())
	}
}

func (p *parser) streams() streams {
	var s streams
	id := p.byte()
	if id == idPack {
		s.position = p.number()
		p.packed(&s)
		id = p.byte()
	}
	if id == idUnpack {
		s.folders = p.unpacked()
		id = p.byte()
	}
	if id == idSubStreams {
		p.subStreams(len(s.folders))
		id = p.byte()
	}
	if id != idEnd {
		p.fail(errFormat)
	}
	streams := uint64(0)
	for _, f := range s.folders {
		streams += f.packed
		p.judge(f)
	}
	if streams != uint64(len(s.sizes)) {
		p.fail(errFormat)
	}
	return s
}

func (p *parser) packed(s *streams) {
	n := p.count()
	id := p.byte()
	if id == idSize {
		for range n {
			s.sizes = append(s.sizes, p.number())
		}
		id = p.byte()
	}
	if id == idCRC {
		p.digests(n)
		id = p.byte()
	}
	if id != idEnd {
		p.fail(errFormat)
	}
}

// digests skips checksums of n things.
func (p *parser) digests(n uint64) {
	defined := n
	if p.byte() == 0 {
		defined = 0
		for i, b := range p.take((n + 7) / 8) {
			for bit := range min(8, n-uint64(i)*8) {
				defined += uint64(b >> (7 - bit) & 1)
			}
		}
	}
	p.take(4 * defined)
}

func (p *parser) unpacked() []folder {
	p.expect(idFolder)
	n := p.count()
	if p.byte() != 0 { // is elsewhere
		p.fail(errFormat)
	}
	var folders []folder
	for range n {
		folders = append(folders, p.folder())
		if p.err != nil {
			return nil
		}
	}
	p.expect(idUnpackSize)
	for i := range folders {
		for range folders[i].coders { // each has one output, see coder
			folders[i].sizes = append(folders[i].sizes, p.number())
		}
	}
	id := p.byte()
	if id == idCRC {
		p.digests(n)
		id = p.byte()
	}
	if id != idEnd {
		p.fail(errFormat)
	}
	return folders
}

func (p *parser) folder() folder {
	n := p.count()
	if n == 0 || n > mostCoders {
		p.fail(errFormat)
		return folder{}
	}
	var f folder
	in, out := uint64(0), uint64(0)
	for range n {
		c := p.coder()
		in, out = in+c.in, out+c.out
		f.coders = append(f.coders, c)
	}
	if p.err != nil || in < out-1 {
		p.fail(errFormat)
		return folder{}
	}
	for range out - 1 {
		if p.number() >= in || p.number() >= out {
			p.fail(errFormat)
		}
	}
	f.packed = in - (out - 1)
	if f.packed == 0 {
		p.fail(errFormat)
	}
	if f.packed > 1 {
		for range f.packed {
			if p.number() >= in {
				p.fail(errFormat)
			}
		}
	}
	return f
}

func (p *parser) coder() coder {
	flags := p.byte()
	c := coder{in: 1, out: 1, method: string(p.take(uint64(flags & 0x0f)))}
	if flags&0x10 != 0 {
		c.in, c.out = p.number(), p.number()
	}
	if flags&0x20 != 0 {
		c.properties = p.take(p.number())
	}
	if flags&0xc0 != 0 || c.in == 0 || c.in > mostStreams || c.out != 1 {
		p.fail(errFormat)
	}
	return c
}

func (p *parser) subStreams(folders int) {
	id := p.byte()
	counts := make([]uint64, folders)
	total := uint64(0)
	for i := range counts {
		counts[i] = 1
		if id == idNumStreams {
			counts[i] = p.number()
		}
		if counts[i] > uint64(p.bounds.Entries) || total+counts[i] > uint64(p.bounds.Entries) {
			p.fail(p.bounds.tooMany())
			return
		}
		total += counts[i]
	}
	if id == idNumStreams {
		id = p.byte()
	}
	if id == idSize {
		for _, n := range counts {
			for j := uint64(1); j < n; j++ {
				p.number()
			}
		}
		id = p.byte()
	}
	if id == idCRC {
		p.digests(total)
		id = p.byte()
	}
	if id != idEnd {
		p.fail(errFormat)
	}
}

// encrypted tells whether a folder needs a password.
func (f folder) encrypted() bool {
	for _, c := range f.coders {
		if c.method == methodAES {
			return true
		}
	}
	return false
}

// judge compares what the decoders of a folder would take with the limit.
func (p *parser) judge(f folder) {
	if f.encrypted() {
		p.fail(errEncrypted)
		return
	}
	total := int64(0)
	for _, c := range f.coders {
		n, err := c.memory()
		if err != nil {
			p.fail(err)
			return
		}
		total += n
	}
	if total > p.bounds.Memory {
		p.fail(fmt.Errorf("it needs a dictionary of %d bytes, and the limit is %d", total, p.bounds.Memory))
	}
}

// memory returns the size of a coder's dictionary.
func (c coder) memory() (int64, error) {
	switch {
	case c.method == methodLZMA && len(c.properties) == 5:
		return int64(binary.LittleEndian.Uint32(c.properties[1:])), nil
	case c.method == methodLZMA2 && len(c.properties) == 1 && c.properties[0] <= 40:
		bits := c.properties[0]
		return int64(2|bits&1) << (bits/2 + 11), nil
	case bounded[c.method] != "":
		return 0, nil
	}
	return 0, fmt.Errorf("it is packed with method %x of 7z, which cannot be read", c.method)
}
