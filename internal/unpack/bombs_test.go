package unpack_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

// mostMemory is what refusing a bomb may allocate, all told: more than it can
// keep.
const mostMemory = 160 << 20

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// tarOfZeros has one file of zeros, in a compression.
func tarOfZeros(t *testing.T, format string, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := packer(format, &b)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(w)
	err = archive.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: size})
	if err == nil {
		_, err = io.CopyN(archive, zeroes{}, size)
	}
	if err == nil {
		err = archive.Close()
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rawTar is a tar header of any type.
func rawTar(name string, typeflag byte, size int, change func(block []byte)) []byte {
	block := make([]byte, 512)
	copy(block, name)
	copy(block[100:], "0000644\x000000000\x000000000\x00")
	copy(block[124:], fmt.Sprintf("%011o\x00", size))
	copy(block[136:], "00000000000\x00        ")
	block[156] = typeflag
	copy(block[257:], "ustar  \x00")
	if change != nil {
		change(block)
	}
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return block
}

func padded(content string) []byte {
	return append([]byte(content), make([]byte, (512-len(content)%512)%512)...)
}

// gnuSparse is a file of the old GNU kind, all of which is a hole.
func gnuSparse(size uint64) []byte {
	header := rawTar("hole", 'S', 0, func(block []byte) {
		block[483] = 0x80 // binary
		binary.BigEndian.PutUint64(block[487:], size)
	})
	return append(header, make([]byte, 1024)...)
}

// paxSparse says that a file has more data fragments than fit anywhere.
func paxSparse(t *testing.T) []byte {
	record := func(key, value string) string {
		s := fmt.Sprintf(" %s=%s\n", key, value)
		n := len(s) + 2
		return fmt.Sprintf("%d%s", n, s)
	}
	pax := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "x") + record("GNU.sparse.realsize", "1")
	fragments := "99999999\n" + strings.Repeat("0\n0\n", 8<<20)
	b := append(rawTar("pax", 'x', len(pax), nil), padded(pax)...)
	b = append(b, rawTar("x", '0', len(fragments), nil)...)
	return pack(t, "gz", append(b, padded(fragments)...))
}

// overlapping is a zip file all of whose entries are the same bytes.
func overlapping(t *testing.T, count int) []byte {
	whole := makeZip(t, []item{text("a", noise(10_000))})
	end := len(whole) - 22
	start := binary.LittleEndian.Uint32(whole[end+16:])
	record := whole[start:end]
	b := bytes.Clone(whole[:start])
	for range count {
		b = append(b, record...)
	}
	tail := bytes.Clone(whole[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(count))
	binary.LittleEndian.PutUint16(tail[10:], uint16(count))
	binary.LittleEndian.PutUint32(tail[12:], uint32(count*len(record)))
	return append(b, tail...)
}

// xzDictionary makes the dictionary of an xz file larger than it needs.
func xzDictionary(t *testing.T) []byte {
	b := pack(t, "xz", makeTar(t, []item{text("a", "x")}))
	header := b[12:]
	size := (int(header[0]) + 1) * 4
	at := bytes.IndexByte(header[2:size], 0x21) + 2
	header[at+2] = 40 // 4 GiB
	binary.LittleEndian.PutUint32(header[size-4:], crc32.ChecksumIEEE(header[:size-4]))
	return b
}

// seven is a 7z file with one stream in one folder of one coder.
func seven(coder []byte, files uint64) []byte {
	header := []byte{1, 4, 6, 0, 1, 9, 1, 0, 7, 11, 1, 0, 1}
	header = append(header, coder...)
	header = append(header, 12, 1, 0, 0, 5)
	return frame7z([]byte{0}, append(append(header, sevenNumber(files)...), 0, 0))
}

// rarDictionary is a compressed file of rar 5 with a dictionary of 4 GiB.
func rarDictionary() []byte {
	h := []byte{2, 2}
	h = uvarint(h, 10)
	h = append(h, 0)
	h = uvarint(h, int64(8<<30))
	h = append(h, 0)
	h = uvarint(h, 3<<7|15<<10)
	h = append(h, 1, 1, 'a')
	b := append([]byte("Rar!\x1a\x07\x01\x00"), rar5Block([]byte{1, 0, 0}, nil)...)
	return append(b, rar5Block(h, make([]byte, 10))...)
}

// TestBombs refuses what would take the machine's disk, memory or time. Not
// parallel, because it measures memory.
func TestBombs(t *testing.T) {
	huge := seven([]byte{0x23, 3, 1, 1, 5, 0x5d, 0, 0, 0, 0xff}, 1)
	fileBomb := func(n int) []item {
		var items []item
		for i := range n {
			items = append(items, text(fmt.Sprint(i), ""))
		}
		return items
	}
	zipMany, _ := makeArchive(t, "zip", fileBomb(1001))
	sevenMany, _ := makeArchive(t, "7z", fileBomb(1001))
	tarMany, _ := makeArchive(t, "tar.zst", fileBomb(1001))
	zstdWindow := append([]byte("\x28\xb5\x2f\xfd\x00\xa8"), 1, 0, 0)
	lzDictionary := pack(t, "lz", []byte("x"))
	lzDictionary[5] = 29
	var names, links []item
	for i := range 300 {
		names = append(names, dir(repeat(strings.Repeat("n", 240), 15)+fmt.Sprint("/", i)))
		links = append(links, symlink(fmt.Sprint("l", i), "a/../"+repeat(strings.Repeat("n", 240), 15)))
	}
	for _, c := range []struct {
		name, format string
		content      []byte
		limits       unpack.Limits
		want         string
	}{
		{"zeros gz", "tar.gz", tarOfZeros(t, "gz", 300<<20), unpack.Limits{}, "and the limit is 200 for each"},
		{"zeros zst", "tar.zst", tarOfZeros(t, "zst", 300<<20), unpack.Limits{}, "and the limit is 200 for each"},
		{"zeros br", "tar.br", tarOfZeros(t, "br", 150<<20), unpack.Limits{}, "and the limit is 200 for each"},
		{"zeros zip", "zip", makeZip(t, []item{text("a", strings.Repeat("\x00", 150<<20))}), unpack.Limits{}, "and the limit is 200 for each"},
		{"bytes announced", "tar", makeTar(t, []item{text("a", noise(100)), text("b", noise(2<<20))}), unpack.Limits{Bytes: 1 << 20}, "it unpacks to more than 1048576 bytes"},
		{"packed twice", "tar.gz", pack(t, "gz", pack(t, "gz", makeTar(t, []item{text("a", "x")}))), unpack.Limits{}, "it is cut short"},
		{"entries tar", "tar.zst", tarMany, unpack.Limits{Entries: 1000}, "it has more than 1000 entries"},
		{"entries zip", "zip", zipMany, unpack.Limits{Entries: 1000}, "it has more than 1000 entries"},
		{"entries 7z", "7z", sevenMany, unpack.Limits{Entries: 1000}, "it has more than 1000 entries"},
		{"names of directories", "tar", makeTar(t, names), unpack.Limits{Memory: 1 << 20}, "take more than 1048576 bytes of memory"},
		{"names of links", "tar", makeTar(t, links), unpack.Limits{Memory: 1 << 20}, "take more than 1048576 bytes of memory"},
		{"overlap", "zip", overlapping(t, 60_000), unpack.Limits{}, "its entries overlap"},
		{"sparse huge", "tar", gnuSparse(1 << 50), unpack.Limits{}, "it unpacks to more than"},
		{"sparse ratio", "tar", gnuSparse(10 << 30), unpack.Limits{}, "and the limit is 200 for each"},
		{"sparse fragments", "tar.gz", paxSparse(t), unpack.Limits{}, ""},
		{"zstd window", "tar.zst", zstdWindow, unpack.Limits{}, "window"},
		{"xz dictionary", "tar.xz", xzDictionary(t), unpack.Limits{}, "dictionary"},
		{"lzip dictionary", "tar.lz", lzDictionary, unpack.Limits{}, "it needs a dictionary of 536870912 bytes"},
		{"7z LZMA dictionary", "7z", huge, unpack.Limits{}, "it needs a dictionary of 4278190080 bytes"},
		{"7z LZMA2 dictionary", "7z", seven([]byte{0x21, 0x21, 1, 36}, 1), unpack.Limits{}, "it needs a dictionary of 1073741824 bytes"},
		{"7z method", "7z", seven([]byte{0x04, 4, 0xf7, 0x11, 1}, 1), unpack.Limits{}, "it is packed with method 04f71101 of 7z"},
		{"7z encrypted", "7z", seven([]byte{0x04, 6, 0xf1, 7, 1}, 1), unpack.Limits{}, "it is encrypted"},
		{"7z files", "7z", seven([]byte{1, 0}, 1<<40), unpack.Limits{}, "it has more than 1000000 entries"},
		{"7z folders", "7z", frame7z([]byte{0}, append(append([]byte{1, 4, 6, 0, 1, 9, 1, 0, 7, 11}, sevenNumber(1<<40)...), 0)), unpack.Limits{}, "its index is damaged"},
		{"7z streams", "7z", frame7z([]byte{0}, append(append([]byte{1, 4, 6, 0}, sevenNumber(1<<40)...), 9, 1)), unpack.Limits{}, "its index is damaged"},
		{"rar signature", "rar", []byte("Rar!\x1a\x07\x01\xc5\x1a32\x03\x01\x00\x00f\x10\xd5\xe4\x18\x02\xe5\x00\x04"), unpack.Limits{}, "no rar archive"},
		{"rar dictionary", "rar", rarDictionary(), unpack.Limits{}, "its dictionary is larger than the limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := p.archive(t.Context(), c.format, c.content, c.limits)
			runtime.ReadMemStats(&after)
			if _, ok := errors.AsType[*unpack.Error](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > mostMemory {
				t.Errorf("allocated %d MiB", took>>20)
			}
			p.unchanged()
			if size := p.size(); size > 200<<20 {
				t.Errorf("%d MiB were written", size>>20)
			}
		})
	}
}

// TestManyDictionaries has each of many members with nothing in it ask for as
// much memory as one may have.
func TestManyDictionaries(t *testing.T) {
	member := pack(t, "lz", nil)
	member[5] = 27
	p := newPlace(t)
	_, err := p.archive(t.Context(), "tar.lz", bytes.Repeat(member, 10_000), unpack.Limits{})
	if found, ok := errors.AsType[*unpack.Error](err); !ok || !strings.Contains(err.Error(), "far larger than what is in them") {
		t.Errorf("error %v", err)
	} else if found.Offset > 300_000 {
		t.Errorf("%d bytes were read", found.Offset)
	}
}

func (p *place) size() int64 {
	total := int64(0)
	for _, name := range []string{"a", "b", "zeros", "hole"} {
		if info, err := p.root.Stat(name); err == nil {
			total += info.Size()
		}
	}
	return total
}

// TestManyEntries has a million of them in a small file.
func TestManyEntries(t *testing.T) {
	reader, writer := io.Pipe()
	go func() {
		w, _ := packer("zst", writer)
		block := rawTar("same/", '5', 0, nil)
		for range 1_000_002 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
		w.Close()
		writer.Close()
	}()
	p := newPlace(t)
	_, err := unpack.Archive(t.Context(), "tar.zst", reader, p.root, unpack.Limits{})
	reader.CloseWithError(io.ErrClosedPipe)
	if _, ok := errors.AsType[*unpack.Error](err); !ok {
		t.Errorf("error %v", err)
	}
}
