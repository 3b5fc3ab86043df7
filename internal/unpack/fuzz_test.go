package unpack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"testing"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

func FuzzExtractTar(f *testing.F)    { fuzzExtract(f, "tar") }
func FuzzExtractTarGz(f *testing.F)  { fuzzExtract(f, "tar.gz") }
func FuzzExtractTarBz2(f *testing.F) { fuzzExtract(f, "tar.bz2") }
func FuzzExtractTarBr(f *testing.F)  { fuzzExtract(f, "tar.br") }
func FuzzExtractTarLz(f *testing.F)  { fuzzExtract(f, "tar.lz") }
func FuzzExtractTarLz4(f *testing.F) { fuzzExtract(f, "tar.lz4") }
func FuzzExtractTarMz(f *testing.F)  { fuzzExtract(f, "tar.mz") }
func FuzzExtractTarSz(f *testing.F)  { fuzzExtract(f, "tar.sz") }
func FuzzExtractTarXz(f *testing.F)  { fuzzExtract(f, "tar.xz") }
func FuzzExtractTarZst(f *testing.F) { fuzzExtract(f, "tar.zst") }
func FuzzExtractTarZz(f *testing.F)  { fuzzExtract(f, "tar.zz") }
func FuzzExtractZip(f *testing.F)    { fuzzExtract(f, "zip") }
func FuzzExtract7z(f *testing.F)     { fuzzExtract(f, "7z") }
func FuzzExtractRar(f *testing.F)    { fuzzExtract(f, "rar") }

// fuzzExtract unpacks anything: nothing outside of the directory changes, no
// link in it leads out, and the error is the archive's.
func fuzzExtract(f *testing.F, format string) {
	for i, c := range corpus {
		if i%5 != 0 { // the others are TestHostileArchives
			continue
		}
		if content, ok := makeArchive(f, format, c.items); ok && len(content) < 10_000 {
			f.Add(content)
		}
	}
	if format == "rar" {
		f.Add(makeRar4([]item{dir("d"), text("d/a", "x"), symlink("l", "d")}))
	}
	if format == "tar" {
		f.Add(gnuSparse(1000))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		p := newPlace(t)
		content = mended(format, content)
		report, err := p.archive(t.Context(), format, content, unpack.Limits{Bytes: 1 << 20, Entries: 1000, Memory: 1 << 20})
		p.unchanged()
		if report.Bytes > 1<<20 {
			t.Errorf("%d bytes were unpacked", report.Bytes)
		}
		if err == nil {
			return
		}
		if _, own := errors.AsType[*unpack.Error](err); !own {
			t.Errorf("error %v", err)
		}
		// Otherwise the directory of the test could not be removed.
		if err := os.RemoveAll(p.root.Name()); err != nil {
			t.Error(err)
		}
	})
}

// mended makes the checksums of an index right, behind which nothing would be
// read otherwise.
func mended(format string, content []byte) []byte {
	content = bytes.Clone(content)
	switch {
	case format == "7z" && len(content) >= 32:
		from, size := binary.LittleEndian.Uint64(content[12:]), binary.LittleEndian.Uint64(content[20:])
		if left := uint64(len(content) - 32); from <= left && size <= left-from {
			index := content[32+from:][:size]
			binary.LittleEndian.PutUint32(content[28:], crc32.ChecksumIEEE(index))
		}
		binary.LittleEndian.PutUint32(content[8:], crc32.ChecksumIEEE(content[12:32]))
	case format == "rar" && bytes.HasPrefix(content, []byte("Rar!\x1a\x07\x01\x00")):
		mendRar5(content[8:])
	case format == "rar" && bytes.HasPrefix(content, []byte("Rar!\x1a\x07\x00")):
		mendRar4(content[7:])
	}
	return content
}

func mendRar5(rest []byte) {
	for len(rest) > 6 {
		size, n := binary.Uvarint(rest[4:])
		if n <= 0 || size > uint64(len(rest)-4-n) {
			return
		}
		header := rest[4 : 4+n+int(size)]
		binary.LittleEndian.PutUint32(rest, crc32.ChecksumIEEE(header))
		rest = rest[4+len(header):]
		fields := header[n:]
		var data [4]uint64 // type, flags, size of the extra area, size of the data
		for i := range data {
			if i == 2 && data[1]&1 == 0 || i == 3 && data[1]&2 == 0 {
				continue
			}
			if data[i], n = binary.Uvarint(fields); n <= 0 {
				return
			}
			fields = fields[n:]
		}
		rest = rest[min(uint64(len(rest)), data[3]):]
	}
}

func mendRar4(rest []byte) {
	for len(rest) >= 7 {
		size := int(binary.LittleEndian.Uint16(rest[5:]))
		if size < 7 || size > len(rest) {
			return
		}
		header := rest[:size]
		binary.LittleEndian.PutUint16(rest, uint16(crc32.ChecksumIEEE(header[2:])))
		rest = rest[size:]
		if header[4]&0x80 != 0 && size >= 11 {
			rest = rest[min(len(rest), int(binary.LittleEndian.Uint32(header[7:]))):]
		}
	}
}

// FuzzDecompress decodes anything in any of the formats.
func FuzzDecompress(f *testing.F) {
	for i, format := range unpack.Compressions() {
		f.Add(uint8(i), pack(f, format, []byte("text text text "+noise(100))))
	}
	f.Fuzz(func(t *testing.T, which uint8, content []byte) {
		formats := unpack.Compressions()
		r, err := unpack.Decompress(formats[int(which)%len(formats)], bytes.NewReader(content), unpack.Limits{Bytes: 1 << 20, Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		total := 0
		buf := make([]byte, 4096)
		for err == nil {
			var n int
			n, err = r.Read(buf)
			total += n
		}
		if _, own := errors.AsType[*unpack.Error](err); !own && err != io.EOF || total > 1<<20 {
			t.Errorf("%d bytes, error %v", total, err)
		}
	})
}
