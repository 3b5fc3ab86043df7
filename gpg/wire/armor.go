package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Kinds of armored blocks.
const (
	BlockPublic    = "PGP PUBLIC KEY BLOCK"
	BlockSecret    = "PGP PRIVATE KEY BLOCK"
	BlockSignature = "PGP SIGNATURE"
)

// Enarmor writes data as an armored block. Its checksum is out of fashion, but
// without it GnuPG says that a good signature is good and exits with 2.
func Enarmor(kind string, data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.EncodeWithChecksumOption(&b, kind, nil, true)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Dearmor reads the armored block of this kind that lines begin with, and
// returns the lines behind it. Lines have no line ends. The checksum may be
// missing but not wrong.
func Dearmor(kind string, lines []string) (data []byte, rest []string, err error) {
	if len(lines) == 0 || lines[0] != "-----BEGIN "+kind+"-----" {
		return nil, nil, fmt.Errorf("%w: a block that begins with -----BEGIN %s----- is missing", ErrDamaged, kind)
	}
	lines = lines[1:]
	for len(lines) > 0 && lines[0] != "" {
		if !strings.Contains(lines[0], ":") {
			return nil, nil, fmt.Errorf("%w: the armor has a malformed header", ErrDamaged)
		}
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return nil, nil, fmt.Errorf("%w: the armor has no body", ErrDamaged)
	}
	var body strings.Builder
	var sum string
	for i, line := range lines[1:] {
		switch {
		case line == "-----END "+kind+"-----":
			data, err := decoded(body.String(), sum)
			return data, lines[i+2:], err
		case strings.HasPrefix(line, "=") && sum == "":
			sum = line
		case sum != "":
			return nil, nil, fmt.Errorf("%w: the armor goes on behind its checksum", ErrDamaged)
		default:
			body.WriteString(line)
		}
	}
	return nil, nil, fmt.Errorf("%w: the armor has no end", ErrDamaged)
}

func decoded(body, sum string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("%w: the armor is not base64", ErrDamaged)
	}
	if sum == "" {
		return data, nil
	}
	if want := checksum(data); sum != want {
		return nil, fmt.Errorf("%w: the checksum of the armor is wrong", ErrDamaged)
	}
	return data, nil
}

// checksum is the line with the CRC-24 of RFC 4880 section 6.1.
func checksum(data []byte) string {
	crc := uint32(0xb704ce)
	for _, b := range data {
		crc ^= uint32(b) << 16
		for range 8 {
			crc <<= 1
			if crc&0x1000000 != 0 {
				crc ^= 0x1864cfb
			}
		}
	}
	return "=" + base64.StdEncoding.EncodeToString([]byte{byte(crc >> 16), byte(crc >> 8), byte(crc)})
}
