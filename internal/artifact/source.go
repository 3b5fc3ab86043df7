package artifact

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxPseudo bounds what is read of a file that says it is empty and is not,
// as those of /proc are.
const maxPseudo = 256 << 10

var errNotRegular = errors.New("it is not a regular file")

// source is one open file, and what it was when it was first looked at.
type source struct {
	name string
	file *os.File
	info fs.FileInfo
}

func newSource(f File) (*source, error) {
	info, err := f.Content.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return nil, &FileError{Path: f.Content.Name(), Reason: Invalid, Err: err}
	}
	return &source{name: f.Content.Name(), file: f.Content, info: info}, nil
}

func (s *source) size() int64 { return s.info.Size() }

// check returns ErrChanged if the file is not what it was.
func (s *source) check() error {
	now, err := s.file.Stat()
	if err != nil {
		return s.unreadable(err)
	}
	if now.Size() != s.info.Size() || !now.ModTime().Equal(s.info.ModTime()) || !os.SameFile(now, s.info) {
		return s.changed()
	}
	return nil
}

func (s *source) changed() error { return fmt.Errorf("cannot publish %s: %w", s.name, ErrChanged) }

func (s *source) unreadable(err error) error {
	return &FileError{Path: s.name, Reason: Unreadable, Err: err}
}

// reader reads the content from its start, and nothing past the size it had.
func (s *source) reader() io.Reader { return &sourceReader{source: s} }

type sourceReader struct {
	*source
	off int64
}

// Read holds the last bytes back until it is certain that the file is still
// what it was, so that who counts bytes never sees all of a changed file.
func (r *sourceReader) Read(p []byte) (int, error) {
	left := r.size() - r.off
	if left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	n, err := r.file.ReadAt(p, r.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, r.unreadable(err)
	}
	if n < len(p) { // shorter than it was
		return 0, r.changed()
	}
	r.off += int64(n)
	if r.off == r.size() {
		if err := r.check(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// pseudo returns what a file that claims to be empty really holds.
func (s *source) pseudo() ([]byte, error) {
	content, err := io.ReadAll(io.NewSectionReader(s.file, 0, maxPseudo+1))
	if err != nil {
		return nil, s.unreadable(err)
	}
	if len(content) == 0 {
		return nil, s.check()
	}
	if len(content) > maxPseudo {
		err := fmt.Errorf("it claims to be empty and holds more than %d bytes", maxPseudo)
		return nil, &FileError{Path: s.name, Reason: TooLarge, Err: err}
	}
	return content, s.check()
}
