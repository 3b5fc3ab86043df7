package wire

import (
	"bytes"
	"encoding/binary"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Tags of the packets that matter here, by RFC 4880 section 4.3 and RFC 9580.
const (
	TagSessionKey     = 1 // encrypted to a public key
	TagSignature      = 2
	TagPassphraseKey  = 3 // a session key encrypted with a passphrase
	TagOnePass        = 4
	TagSecretKey      = 5
	TagPublicKey      = 6
	TagSecretSubkey   = 7
	TagCompressed     = 8
	TagUnprotected    = 9 // encrypted, without integrity protection
	TagMarker         = 10
	TagLiteral        = 11
	TagTrust          = 12
	TagUserID         = 13
	TagPublicSubkey   = 14
	TagUserAttribute  = 17
	TagProtected      = 18 // encrypted, with integrity protection
	TagProtectedDraft = 20 // the same as GnuPG 2.3 began to write it
	TagPadding        = 21
)

// Packet is one packet as it came. Its body may share memory with what it was
// read from.
type Packet struct {
	Tag  uint8
	Body []byte
}

// Parse returns what the OpenPGP library makes of the packet.
func (p Packet) Parse() (packet.Packet, error) {
	return p.opaque().Parse()
}

func (p Packet) opaque() *packet.OpaquePacket {
	return &packet.OpaquePacket{Tag: p.Tag, Contents: p.Body}
}

// Write appends the packet, with a header in the new format and a length.
func (p Packet) Write(b *bytes.Buffer) {
	p.opaque().Serialize(b) // a bytes.Buffer takes everything
}

// Next takes the first packet from data, and returns what follows it. It is not
// ok if data does not begin with a whole packet, or one comes in parts, or without
// a length, that must not.
func Next(data []byte) (p Packet, rest []byte, ok bool) {
	if len(data) < 2 || data[0]&0x80 == 0 {
		return Packet{}, nil, false
	}
	if data[0]&0x40 == 0 {
		return nextOld(data)
	}
	p.Tag = data[0] & 0x3f
	size, partial, rest, ok := newLength(data[1:])
	if !ok || size > len(rest) {
		return Packet{}, nil, false
	}
	p.Body, rest = rest[:size:size], rest[size:]
	if partial && !streamed(p.Tag) {
		return Packet{}, nil, false
	}
	for partial {
		size, partial, rest, ok = newLength(rest)
		if !ok || size > len(rest) {
			return Packet{}, nil, false
		}
		p.Body, rest = append(p.Body, rest[:size]...), rest[size:]
	}
	return p, rest, true
}

// nextOld is Next for a header in the old format, which RFC 4880 section 4.2.1
// describes. GnuPG writes it without a length around compressed data.
func nextOld(data []byte) (p Packet, rest []byte, ok bool) {
	p.Tag = data[0] & 0x3f >> 2
	width := 1 << (data[0] & 3)
	rest = data[1:]
	switch {
	case width == 8 && streamed(p.Tag):
		p.Body = rest
		return p, nil, true
	case width == 8 || len(rest) < width:
		return Packet{}, nil, false
	}
	var number [4]byte
	copy(number[4-width:], rest)
	size := uint64(binary.BigEndian.Uint32(number[:]))
	rest = rest[width:]
	if size > uint64(len(rest)) {
		return Packet{}, nil, false
	}
	p.Body, rest = rest[:size:size], rest[size:]
	return p, rest, true
}

// newLength reads a length in the new format, RFC 4880 section 4.2.2. One that
// is larger than data is not told from one that is broken.
func newLength(data []byte) (size int, partial bool, rest []byte, ok bool) {
	if len(data) == 0 {
		return 0, false, nil, false
	}
	switch first := int(data[0]); {
	case first < 192:
		return first, false, data[1:], true
	case first < 224 && len(data) >= 2:
		return (first-192)<<8 + int(data[1]) + 192, false, data[2:], true
	case first >= 224 && first < 255:
		return 1 << (first & 0x1f), true, data[1:], first&0x1f < 30
	case first == 255 && len(data) >= 5:
		size := uint64(binary.BigEndian.Uint32(data[1:]))
		if size > uint64(len(data)) {
			return 0, false, nil, false
		}
		return int(size), false, data[5:], true
	}
	return 0, false, nil, false
}

// streamed tells whether a packet may come in parts, or without a length.
func streamed(tag uint8) bool {
	switch tag {
	case TagCompressed, TagUnprotected, TagLiteral, TagProtected, TagProtectedDraft:
		return true
	}
	return false
}
