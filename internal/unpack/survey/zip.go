package survey

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	endSize      = 22
	end64Size    = 56
	locatorSize  = 20
	recordSize   = 46
	mostComment  = 65535
	recordMagic  = 0x02014b50
	endMagic     = 0x06054b50
	end64Magic   = 0x06064b50
	locatorMagic = 0x07064b50
)

// directory is what the end of a zip file says about its directory.
type directory struct {
	end    int64 // where the record that says it begins
	count  uint64
	size   uint64
	offset uint64
}

// Zip returns why a zip file should not be opened, or nil. Besides Bounds, it
// finds entries that share their content, by which a small file unpacks to
// any size.
func Zip(r io.ReaderAt, size int64, bounds Bounds) error {
	dir, err := findDirectory(r, size)
	if err != nil {
		return err
	}
	if dir.count > uint64(bounds.Entries) {
		return bounds.tooMany()
	}
	if dir.size > uint64(dir.end) || dir.offset > uint64(dir.end) {
		return errFormat
	}
	// Where something stands before the archive, offsets count from its begin
	// or from that of the file; readers try both.
	starts := []int64{dir.end - int64(dir.size)}
	if int64(dir.offset) != starts[0] {
		starts = append(starts, int64(dir.offset))
	}
	for _, start := range starts {
		if err := walkDirectory(r, start, size, bounds); err != nil {
			return err
		}
	}
	return nil
}

// walkDirectory looks at records for as long as there are any: their number
// says itself only modulo 65536.
func walkDirectory(r io.ReaderAt, start, size int64, bounds Bounds) error {
	records := bufio.NewReaderSize(io.NewSectionReader(r, start, size-start), 64<<10)
	var count, texts int64
	packed := uint64(0)
	for {
		var record [recordSize]byte
		if _, err := io.ReadFull(records, record[:]); err != nil {
			return unlessEnd(err)
		}
		if binary.LittleEndian.Uint32(record[:]) != recordMagic {
			return nil
		}
		name, extra, comment := le16(record[28:]), le16(record[30:]), le16(record[32:])
		if _, err := records.Discard(int(name)); err != nil {
			return unlessEnd(err)
		}
		fields := make([]byte, extra)
		if _, err := io.ReadFull(records, fields); err != nil {
			return unlessEnd(err)
		}
		if _, err := records.Discard(int(comment)); err != nil {
			return unlessEnd(err)
		}
		content := uint64(binary.LittleEndian.Uint32(record[20:]))
		if content == math.MaxUint32 {
			content = long(fields, binary.LittleEndian.Uint32(record[24:]) == math.MaxUint32)
		}
		count++
		texts += int64(name) + int64(extra) + int64(comment)
		packed += min(content, 1<<62-packed) // never beyond what a later sum can hold
		switch {
		case count > bounds.Entries:
			return bounds.tooMany()
		case texts > bounds.Memory:
			return fmt.Errorf("the names in its index have more than %d bytes, which is the limit", bounds.Memory)
		case packed > uint64(size):
			return errors.New("its entries overlap: together they have more bytes than the whole file")
		}
	}
}

// long returns the packed size from the field for sizes beyond 32 bits.
func long(fields []byte, second bool) uint64 {
	for len(fields) >= 4 {
		id, n := le16(fields), int(le16(fields[2:]))
		fields = fields[4:]
		if n > len(fields) {
			break
		}
		field := fields[:n]
		fields = fields[n:]
		if id != 1 {
			continue
		}
		if second && len(field) >= 8 {
			field = field[8:]
		}
		if len(field) >= 8 {
			return binary.LittleEndian.Uint64(field)
		}
	}
	return math.MaxUint32
}

func findDirectory(r io.ReaderAt, size int64) (directory, error) {
	tail := make([]byte, min(size, endSize+mostComment))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return directory{}, err
	}
	at := len(tail) - endSize
	for ; at >= 0; at-- {
		record := tail[at:]
		if binary.LittleEndian.Uint32(record) == endMagic && int(le16(record[20:])) <= len(record)-endSize {
			break
		}
	}
	if at < 0 {
		return directory{}, fmt.Errorf("it has no index at its end: it is cut short, or no zip archive: %w", io.ErrUnexpectedEOF)
	}
	record := tail[at:]
	dir := directory{
		end:    size - int64(len(tail)) + int64(at),
		count:  uint64(le16(record[10:])),
		size:   uint64(binary.LittleEndian.Uint32(record[12:])),
		offset: uint64(binary.LittleEndian.Uint32(record[16:])),
	}
	if dir.count != math.MaxUint16 && dir.size != math.MaxUint32 && dir.offset != math.MaxUint32 {
		return dir, nil
	}
	return findLong(r, dir)
}

// findLong reads the record for values beyond what dir can say, if there is one.
func findLong(r io.ReaderAt, dir directory) (directory, error) {
	var locator [locatorSize]byte
	if dir.end < locatorSize {
		return dir, nil
	}
	if _, err := r.ReadAt(locator[:], dir.end-locatorSize); err != nil {
		return dir, unlessEnd(err)
	}
	if binary.LittleEndian.Uint32(locator[:]) != locatorMagic {
		return dir, nil
	}
	at := binary.LittleEndian.Uint64(locator[8:])
	if at > uint64(dir.end) {
		return dir, errFormat
	}
	var record [end64Size]byte
	if _, err := r.ReadAt(record[:], int64(at)); err != nil {
		return dir, unlessEnd(err)
	}
	if binary.LittleEndian.Uint32(record[:]) != end64Magic {
		return dir, errFormat
	}
	dir.end = int64(at)
	dir.count = binary.LittleEndian.Uint64(record[32:])
	dir.size = binary.LittleEndian.Uint64(record[40:])
	dir.offset = binary.LittleEndian.Uint64(record[48:])
	return dir, nil
}

// unlessEnd leaves the end of the file to the library, which has an opinion
// on it.
func unlessEnd(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
