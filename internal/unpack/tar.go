package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/taskcluster/generic-worker/internal/unpack/tree"
)

// tarSource reads a tar stream, which another goroutine unpacks.
type tarSource struct {
	ahead    *ahead
	free     func()
	tellsEnd bool // the compression tells an end from a cut
	some     bool // there was an entry
	zeros    *zeroRun
	tar      *tar.Reader
}

func openTar(unpacked *ahead, free func(), tellsEnd bool) *tarSource {
	zeros := &zeroRun{r: unpacked}
	return &tarSource{ahead: unpacked, free: free, tellsEnd: tellsEnd, zeros: zeros, tar: tar.NewReader(zeros)}
}

func (s *tarSource) close() {
	s.ahead.close()
	s.free()
}

func (s *tarSource) next() (tree.Entry, io.Reader, error) {
	s.zeros.run = 0
	var header *tar.Header
	err := shield(func() (err error) {
		header, err = s.tar.Next()
		return err
	})
	switch {
	case err == io.EOF && s.zeros.run < blockSize && !(s.tellsEnd && s.some):
		return tree.Entry{}, nil, refuse("it is cut short, or no tar archive: the blocks that mark its end are missing: %w", io.ErrUnexpectedEOF)
	case err == io.EOF:
		// The rest is read for the checksum at its end, and for whoever hashes it.
		if _, err := io.Copy(io.Discard, s.ahead); err != nil {
			return tree.Entry{}, nil, err
		}
		return tree.Entry{}, nil, io.EOF
	case errors.Is(err, tar.ErrInsecurePath):
		// Names are looked at by whoever makes something of them.
	case err != nil:
		return tree.Entry{}, nil, fault(err)
	}
	s.some = true
	e := tarEntry(header)
	if e.Kind != tree.File {
		return e, nil, nil
	}
	return e, shielded{s.tar}, nil
}

func tarEntry(h *tar.Header) tree.Entry {
	e := tree.Entry{Name: h.Name, Mode: h.FileInfo().Mode(), Time: h.ModTime, Size: h.Size, Link: h.Linkname}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		e.Kind = tree.File
		if strings.HasSuffix(h.Name, "/") && h.Size == 0 {
			e.Kind = tree.Directory
		}
	case tar.TypeDir:
		e.Kind = tree.Directory
	case tar.TypeSymlink:
		e.Kind = tree.Symlink
	case tar.TypeLink:
		e.Kind = tree.Hardlink
	case tar.TypeChar, tar.TypeBlock:
		e.Kind, e.What = tree.Special, "a device"
	case tar.TypeFifo:
		e.Kind, e.What = tree.Special, "a named pipe"
	case tar.TypeXGlobalHeader:
		e.Kind, e.What = tree.Nothing, ""
	default:
		e.Kind, e.What = tree.Nothing, fmt.Sprintf("an entry of type %q", h.Typeflag)
	}
	if e.Kind != tree.File {
		e.Size = 0
	}
	return e
}

// blockSize is the unit of tar; two blocks of zeros are the end, of which some
// programs write one.
const blockSize = 512

// zeroRun counts the zero bytes that a stream ended with so far, up to a block.
type zeroRun struct {
	r   io.Reader
	run int
}

// Read implements io.Reader.
func (z *zeroRun) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	if n == 0 {
		return n, err
	}
	last := p[max(0, n-blockSize):n]
	i := len(last)
	for i > 0 && last[i-1] == 0 {
		i--
	}
	if i == 0 {
		z.run += len(last)
	} else {
		z.run = len(last) - i
	}
	return n, err
}
