package unpack

import (
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/bodgit/sevenzip"

	"github.com/taskcluster/generic-worker/internal/unpack/survey"
	"github.com/taskcluster/generic-worker/internal/unpack/tree"
)

// sevenSource reads the entries of a 7z file.
type sevenSource struct {
	files []*sevenzip.File
	open  io.Closer // content of the entry that was last returned
}

func open7z(in *input, size int64, limits Limits) (*sevenSource, error) {
	// The library allocates what the file tells it to.
	err := shield(func() error {
		return survey.SevenZip(in, size, survey.Bounds{Entries: limits.Entries, Memory: limits.Memory})
	})
	if err != nil {
		return nil, fault(err)
	}
	var r *sevenzip.Reader
	err = shield(func() (err error) {
		r, err = sevenzip.NewReader(in, size)
		return err
	})
	if err != nil {
		return nil, sevenFault(err)
	}
	return &sevenSource{files: r.File}, nil
}

func sevenFault(err error) error {
	if encrypted, ok := errors.AsType[*sevenzip.ReadError](err); ok && encrypted.Encrypted {
		return refuse("it is encrypted; make the archive without a password")
	}
	return fault(err)
}

func (s *sevenSource) close() {
	if s.open == nil {
		return
	}
	open := s.open
	s.open = nil
	// Only puts the decoder away for the next entry.
	_ = shield(open.Close)
}

func (s *sevenSource) next() (tree.Entry, io.Reader, error) {
	s.close()
	if len(s.files) == 0 {
		return tree.Entry{}, nil, io.EOF
	}
	f := s.files[0]
	s.files = s.files[1:]
	mode := f.Mode()
	e := tree.Entry{Name: f.Name, Kind: kindOf(mode), Mode: mode, Time: f.Modified, What: whatIs(mode)}
	if f.Attributes&0xf0000000 == 0 {
		e.Mode = withoutUnix(mode)
	}
	if e.Kind == tree.Directory && f.UncompressedSize > 0 {
		return e, nil, directoryContent()
	}
	if e.Kind != tree.File && e.Kind != tree.Symlink {
		return e, nil, nil
	}
	var r io.ReadCloser
	err := shield(func() (err error) {
		r, err = f.Open()
		return err
	})
	if err != nil {
		return e, nil, sevenFault(err)
	}
	s.open = r
	content := &summed{r: r, want: f.CRC32, left: f.UncompressedSize, sum: crc32.NewIEEE()}
	if e.Kind == tree.Symlink {
		e.Link, err = readLink(shielded{content})
		return e, nil, err
	}
	e.Size = int64(min(f.UncompressedSize, 1<<62))
	return e, shielded{content}, nil
}

// summed compares length and checksum of an entry when it was read, which the
// library leaves to its caller.
type summed struct {
	r    io.Reader
	want uint32 // 0 where there is none
	left uint64
	sum  hash.Hash32
}

// Read implements io.Reader.
func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.left -= uint64(n)
	s.sum.Write(p[:n])
	switch {
	case err == nil, err == io.EOF && s.left == 0 && (s.want == 0 || s.sum.Sum32() == s.want):
		return n, err
	case err == io.EOF && s.left > 0:
		return n, io.ErrUnexpectedEOF
	case err == io.EOF:
		return n, refuse("its checksum is wrong")
	}
	return n, sevenFault(err)
}
