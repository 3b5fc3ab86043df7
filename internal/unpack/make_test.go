package unpack_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/minio/minlz"
	"github.com/pierrec/lz4/v4"
	"github.com/sorairolake/lzip-go"
	"github.com/ulikunitz/xz"
)

// item is one entry of an archive that a test makes. Its type is that of tar.
type item struct {
	name string
	kind byte // 0: a file
	mode int64
	body string
	link string
	time time.Time
}

func (i item) typeflag() byte {
	if i.kind == 0 {
		return tar.TypeReg
	}
	return i.kind
}

func (i item) permissions() int64 {
	switch {
	case i.mode != 0:
		return i.mode
	case i.kind == tar.TypeDir:
		return 0o755
	default:
		return 0o644
	}
}

// unixMode is the mode with the kind of file, as zip, 7z and rar keep it.
func (i item) unixMode() uint32 {
	kind := map[byte]uint32{
		tar.TypeReg: 0x8000, tar.TypeDir: 0x4000, tar.TypeSymlink: 0xa000, tar.TypeFifo: 0x1000,
		tar.TypeChar: 0x2000, tar.TypeBlock: 0x6000,
	}[i.typeflag()]
	return kind | uint32(i.permissions())
}

// content is what is kept for an entry; other formats than tar keep the
// target of a symbolic link there.
func (i item) content() string {
	if i.kind == tar.TypeSymlink {
		return i.link
	}
	return i.body
}

// makeArchive makes archives in any of the formats. It returns false where the format
// cannot express an entry.
func makeArchive(t testing.TB, format string, items []item) ([]byte, bool) {
	t.Helper()
	for _, i := range items {
		if (i.kind == tar.TypeLink || i.kind == tar.TypeXGlobalHeader || i.kind == 'Z') && !strings.HasPrefix(format, "tar") {
			return nil, false
		}
		if strings.ContainsRune(i.name+i.link, 0) && format != "zip" {
			return nil, false
		}
		if strings.HasSuffix(i.name, "/") && i.content() != "" && format == "zip" {
			return nil, false
		}
		if strings.Contains(i.name, `\`) && format == "rar" || i.name == "" && format == "7z" {
			return nil, false
		}
	}
	switch format {
	case "zip":
		return makeZip(t, items), true
	case "7z":
		return make7z(items), true
	case "rar":
		return makeRar5(items), true
	case "tar":
		return makeTar(t, items), true
	}
	return pack(t, strings.TrimPrefix(format, "tar."), makeTar(t, items)), true
}

func makeTar(t testing.TB, items []item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		h := &tar.Header{
			Name: i.name, Typeflag: i.typeflag(), Mode: i.permissions(), Size: int64(len(i.body)), Linkname: i.link, ModTime: i.time,
		}
		if i.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: i.kind, Name: i.name, PAXRecords: map[string]string{"comment": "x"}}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("cannot write %q: %v", i.name, err)
		}
		if _, err := io.WriteString(w, i.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func makeZip(t testing.TB, items []item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate, CreatorVersion: 3 << 8, ExternalAttrs: i.unixMode() << 16, Modified: i.time}
		if i.kind == tar.TypeDir {
			h.Method = zip.Store
		}
		content, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if i.content() == "" {
			continue
		}
		if _, err := io.WriteString(content, i.content()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pack compresses in one of the ten formats.
func pack(t testing.TB, format string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := packer(format, &b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packer(format string, b io.Writer) (io.WriteCloser, error) {
	switch format {
	case "br":
		return brotli.NewWriterLevel(b, 1), nil
	case "bz2":
		return bzip2.NewWriter(b, &bzip2.WriterConfig{Level: 1})
	case "gz":
		return gzip.NewWriter(b), nil
	case "lz":
		return lzip.NewWriterOptions(b, &lzip.WriterOptions{DictSize: 1 << 16})
	case "lz4":
		return lz4.NewWriter(b), nil
	case "mz":
		return minlz.NewWriter(b), nil
	case "sz":
		return s2.NewWriter(b, s2.WriterSnappyCompat()), nil
	case "xz":
		return xz.WriterConfig{DictCap: 1 << 16}.NewWriter(b)
	case "zst":
		return zstd.NewWriter(b)
	case "zz":
		return zlib.NewWriter(b), nil
	}
	return nil, fmt.Errorf("no packer for %s", format)
}

// make7z writes files without compression, each in a folder of its own, and a
// plain header.
func make7z(items []item) []byte {
	var packed, pack, folders, sizes, sums, emptyBits, names, attributes bytes.Buffer
	streams, number := 0, make([]bool, len(items))
	for k, i := range items {
		if content := i.content(); content != "" {
			packed.WriteString(content)
			pack.Write(sevenNumber(uint64(len(content))))
			folders.Write([]byte{1, 1, 0}) // one coder, whose id has one byte: copy
			sizes.Write(sevenNumber(uint64(len(content))))
			sums.Write(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(content))))
			streams++
		} else {
			number[k] = true
		}
		for _, unit := range utf16.Encode([]rune(i.name)) {
			names.Write(binary.LittleEndian.AppendUint16(nil, unit))
		}
		names.Write([]byte{0, 0})
		attributes.Write(binary.LittleEndian.AppendUint32(nil, i.unixMode()<<16|0x8000))
	}
	for k := 0; k < len(items); k += 8 {
		bits := byte(0)
		for j := range min(8, len(items)-k) {
			if number[k+j] {
				bits |= 0x80 >> j
			}
		}
		emptyBits.WriteByte(bits)
	}
	var h bytes.Buffer
	h.WriteByte(1)
	if streams > 0 {
		n := sevenNumber(uint64(streams))
		h.Write(append(append([]byte{4, 6, 0}, n...), 9))
		h.Write(pack.Bytes())
		h.Write(append(append([]byte{0, 7, 11}, n...), 0))
		h.Write(folders.Bytes())
		h.WriteByte(12)
		h.Write(sizes.Bytes())
		h.Write([]byte{0, 8, 10, 1})
		h.Write(sums.Bytes())
		h.Write([]byte{0, 0})
	}
	h.WriteByte(5)
	h.Write(sevenNumber(uint64(len(items))))
	property := func(id byte, content []byte) {
		h.WriteByte(id)
		h.Write(sevenNumber(uint64(len(content))))
		h.Write(content)
	}
	if streams < len(items) {
		property(14, emptyBits.Bytes())
	}
	property(17, append([]byte{0}, names.Bytes()...))
	property(21, append([]byte{1, 0}, attributes.Bytes()...))
	h.Write([]byte{0, 0})
	return frame7z(packed.Bytes(), h.Bytes())
}

// frame7z puts the first header before what is packed and the index.
func frame7z(packed, index []byte) []byte {
	start := binary.LittleEndian.AppendUint64(nil, uint64(len(packed)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(index)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(index))
	whole := []byte("7z\xbc\xaf\x27\x1c\x00\x04")
	whole = binary.LittleEndian.AppendUint32(whole, crc32.ChecksumIEEE(start))
	return append(append(append(whole, start...), packed...), index...)
}

// sevenNumber writes a number in nine bytes, as 7z allows for any.
func sevenNumber(n uint64) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return binary.LittleEndian.AppendUint64([]byte{0xff}, n)
}

// makeRar5 writes stored files in the fifth format of rar.
func makeRar5(items []item) []byte {
	b := []byte("Rar!\x1a\x07\x01\x00")
	b = append(b, rar5Block([]byte{1, 0, 0}, nil)...) // archive
	for _, i := range items {
		content := []byte(i.content())
		h := []byte{2}   // file
		h = append(h, 2) // has data
		h = uvarint(h, len(content))
		flags := byte(4) // has a checksum
		if i.kind == tar.TypeDir {
			flags = 1
		}
		h = append(h, flags)
		h = uvarint(h, len(content))
		h = uvarint(h, int(i.unixMode()))
		if flags&4 != 0 {
			h = binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE(content))
		}
		h = append(h, 0, 1) // stored, Unix
		h = uvarint(h, len(i.name))
		h = append(h, i.name...)
		b = append(b, rar5Block(h, content)...)
	}
	return append(b, rar5Block([]byte{5, 0, 0}, nil)...)
}

func rar5Block(header, content []byte) []byte {
	sized := append(uvarint(nil, len(header)), header...)
	b := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(sized))
	return append(append(b, sized...), content...)
}

func uvarint[T int | int64](b []byte, n T) []byte { return binary.AppendUvarint(b, uint64(n)) }

// makeRar4 writes stored files in the fourth format of rar.
func makeRar4(items []item) []byte {
	b := []byte("Rar!\x1a\x07\x00")
	b = append(b, rar4Block(0x73, 0, make([]byte, 6), nil)...)
	for _, i := range items {
		content := []byte(i.content())
		h := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
		h = binary.LittleEndian.AppendUint32(h, uint32(len(content)))
		h = append(h, 3) // Unix
		h = binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE(content))
		h = binary.LittleEndian.AppendUint32(h, 0x5a21_0000) // a day in 2025
		h = append(h, 20, 0x30)                              // version 2.0, stored
		h = binary.LittleEndian.AppendUint16(h, uint16(len(i.name)))
		h = binary.LittleEndian.AppendUint32(h, i.unixMode())
		h = append(h, i.name...)
		flags := uint16(0x8000)
		if i.kind == tar.TypeDir {
			flags |= 0xe0
		}
		b = append(b, rar4Block(0x74, flags, h, content)...)
	}
	return append(b, rar4Block(0x7b, 0x4000, nil, nil)...)
}

func rar4Block(kind byte, flags uint16, fields, content []byte) []byte {
	h := append([]byte{kind}, binary.LittleEndian.AppendUint16(nil, flags)...)
	h = binary.LittleEndian.AppendUint16(h, uint16(7+len(fields)))
	h = append(h, fields...)
	b := binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE(h)))
	return append(append(b, h...), content...)
}
