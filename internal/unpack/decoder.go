package unpack

import (
	"bufio"
	"cmp"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mholt/archives"
	"github.com/mikelolasagasti/xz"

	"github.com/taskcluster/generic-worker/internal/unpack/lzip"
)

// Decompress returns what from unpacks to, in the format br, bz2, gz, lz, lz4,
// mz, sz, xz, zst or zz. Errors are *Error, or those of from as they are; io.EOF comes
// after checksums, where the format has them, were compared, and when from is
// at its end. Close frees memory and does not close from.
func Decompress(format string, from io.Reader, limits Limits) (io.ReadCloser, error) {
	if !slices.Contains(compressions(), format) {
		return nil, fmt.Errorf("cannot decompress format %q: it is none of %s", format, strings.Join(compressions(), ", "))
	}
	limits, err := limits.filled()
	if err != nil {
		return nil, err
	}
	in := &input{ctx: context.Background(), r: from}
	d := decompress(format, in, limits)
	d.meter.stored = true
	return explained{d, in, format}, nil
}

// explained is a decompressor whose errors are complete.
type explained struct {
	*decompressor
	in     *input
	format string
}

// Read implements io.Reader.
func (e explained) Read(p []byte) (int, error) {
	n, err := e.decompressor.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, explain(e.in.ctx, e.in, e.format, err)
}

// decompressor is a decoder under a meter. What it reads from is read to its
// end.
type decompressor struct {
	format string
	raw    *bufio.Reader
	meter  *meter
	r      io.Reader // nil until the first Read
	free   func()
	end    error
}

func decompress(format string, in *input, limits Limits) *decompressor {
	return &decompressor{
		format: format,
		raw:    bufio.NewReaderSize(in, 128<<10),
		meter:  &meter{in: in, limits: limits},
		free:   func() {},
	}
}

// Read implements io.Reader.
func (d *decompressor) Read(p []byte) (int, error) {
	if d.end != nil {
		return 0, d.end
	}
	if d.r == nil {
		d.end = d.open()
		if d.end != nil {
			return 0, d.end
		}
	}
	n, err := d.r.Read(p)
	if err == io.EOF && d.meter.in.count.Load() == 0 {
		err = refuse("it is empty: %w", io.ErrUnexpectedEOF)
	}
	if err == io.EOF {
		rest, failed := io.Copy(io.Discard, d.raw)
		if failed != nil {
			err = failed
		} else if rest > 0 {
			err = refuse("%d bytes follow its end", rest)
		}
	}
	d.end = err
	return n, err
}

// open reads the header, which some decoders do at once.
func (d *decompressor) open() error {
	err := shield(func() (err error) {
		var r io.Reader
		r, d.free, err = newDecoder(d.format, d.raw, d.meter.limits.Memory)
		d.r = metered{shielded{r}, d.meter}
		return err
	})
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fault(err)
}

// Close implements io.Closer.
func (d *decompressor) Close() error {
	d.free()
	d.free, d.end = func() {}, io.ErrClosedPipe
	return nil
}

// newDecoder returns the decoder of a format, and what frees it. None of them
// may start goroutines, in which a panic would end the process.
func newDecoder(format string, r *bufio.Reader, memory int64) (io.Reader, func(), error) {
	free := func() {}
	switch format {
	case "br":
		return small(archives.Brotli{}, r) // at most 16 MiB
	case "bz2":
		return bzip2.NewReader(r), free, nil // at most 4 MiB
	case "gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, free, err
		}
		z.Multistream(false)
		return &gzipMembers{r, z}, free, nil
	case "lz":
		return lzip.NewReader(r, memory), free, nil
	case "lz4":
		return small(archives.Lz4{}, r) // at most 8 MiB
	case "mz":
		return small(archives.MinLZ{}, r) // at most 8 MiB
	case "sz":
		return small(archives.Sz{}, r) // at most 4 MiB
	case "xz":
		z, err := xz.NewReader(r, uint32(min(memory, math.MaxUint32)))
		return z, free, err
	case "zst":
		z, err := newZstd(r, memory)
		if err != nil {
			return nil, free, err
		}
		return z, z.Close, nil
	default: // zz
		return small(archives.Zlib{}, r)
	}
}

// gzipMembers reads members until the end, before which there may be zeros: a
// tape has blocks.
type gzipMembers struct {
	raw *bufio.Reader
	z   *gzip.Reader
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	if err != io.EOF {
		return n, err
	}
	next, err := g.raw.Peek(1)
	if err == nil && next[0] != 0 {
		err = g.z.Reset(g.raw)
		g.z.Multistream(false)
		return n, unexpected(err)
	}
	for err == nil && next[0] == 0 {
		_, _ = g.raw.Discard(1) // is there
		next, err = g.raw.Peek(1)
	}
	return n, cmp.Or(err, io.EOF) // what is left then has no business there
}

// small returns a decoder that takes little memory, whatever is in r.
func small(format archives.Decompressor, r io.Reader) (io.Reader, func(), error) {
	z, err := format.OpenReader(r)
	return z, func() {}, err
}

// newZstd returns a decoder whose window, as the frame asks for it, is within
// memory.
func newZstd(r io.Reader, memory int64) (*zstd.Decoder, error) {
	window := min(max(uint64(memory), zstd.MinWindowSize), zstd.MaxWindowSize)
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
}
