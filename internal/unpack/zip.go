package unpack

import (
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/mikelolasagasti/xz"

	"github.com/taskcluster/generic-worker/internal/unpack/survey"
	"github.com/taskcluster/generic-worker/internal/unpack/tree"
)

// zipSource reads the entries a zip file's directory names, in its order. What
// stands between them, and headers that contradict the directory, is ignored.
type zipSource struct {
	limits Limits
	files  []*zip.File
	open   io.Closer // content of the entry that was last returned
}

func openZip(in *input, size int64, limits Limits) (*zipSource, error) {
	// Before the library makes a list of all there is in memory.
	err := survey.Zip(in, size, survey.Bounds{Entries: limits.Entries, Memory: limits.Memory})
	if err != nil {
		return nil, fault(err)
	}
	var r *zip.Reader
	err = shield(func() (err error) {
		r, err = zip.NewReader(in, size)
		return err
	})
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fault(err)
	}
	r.RegisterDecompressor(zip.Deflate, flate.NewReader)
	r.RegisterDecompressor(12, func(r io.Reader) io.ReadCloser { return io.NopCloser(bzip2.NewReader(r)) })
	r.RegisterDecompressor(93, func(r io.Reader) io.ReadCloser {
		z, err := newZstd(r, limits.Memory)
		if err != nil {
			return io.NopCloser(failing{err})
		}
		return z.IOReadCloser()
	})
	r.RegisterDecompressor(95, func(r io.Reader) io.ReadCloser {
		z, err := xz.NewReader(r, uint32(min(limits.Memory, 1<<32-1)))
		if err != nil {
			return io.NopCloser(failing{err})
		}
		return io.NopCloser(z)
	})
	return &zipSource{limits: limits, files: r.File}, nil
}

// failing is a reader of nothing but an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (s *zipSource) close() {
	if s.open != nil {
		s.open.Close()
		s.open = nil
	}
}

func (s *zipSource) next() (tree.Entry, io.Reader, error) {
	s.close()
	if len(s.files) == 0 {
		return tree.Entry{}, nil, io.EOF
	}
	f := s.files[0]
	s.files = s.files[1:]
	mode := f.Mode()
	e := tree.Entry{Name: f.Name, Kind: kindOf(mode), Mode: zipPermissions(f), Time: f.Modified, What: whatIs(mode)}
	if system := f.CreatorVersion >> 8; system == 0 || system == 10 || system == 11 || system == 14 {
		e.Name = strings.ReplaceAll(e.Name, `\`, "/") // DOS and Windows
	}
	if strings.HasSuffix(e.Name, "/") {
		e.Kind = tree.Directory
	}
	if f.Flags&1 != 0 {
		return e, nil, refuse("it is encrypted; make the archive without a password")
	}
	if e.Kind != tree.File && e.Kind != tree.Symlink {
		return e, nil, nil
	}
	var r io.ReadCloser
	err := shield(func() (err error) {
		r, err = f.Open()
		return err
	})
	if errors.Is(err, zip.ErrAlgorithm) {
		err = refuse("it is packed with method %d of zip, which cannot be read", f.Method)
	}
	if err != nil {
		return e, nil, fault(err)
	}
	s.open = r
	if e.Kind == tree.Symlink {
		e.Link, err = readLink(shielded{r})
		return e, nil, err
	}
	e.Size = int64(min(f.UncompressedSize64, 1<<62))
	return e, shielded{r}, nil
}

// zipPermissions returns the permissions of an entry. Where the archive has
// none, they are those of a new file.
func zipPermissions(f *zip.File) fs.FileMode {
	mode := f.Mode()
	system := f.CreatorVersion >> 8
	if (system == 3 || system == 19) && mode.Perm() != 0 {
		return mode
	}
	return withoutUnix(mode)
}

// withoutUnix is the mode of a new file or directory.
func withoutUnix(mode fs.FileMode) fs.FileMode {
	if mode.IsDir() {
		return 0o755
	}
	return 0o644
}

// kindOf returns what kind of entry has a mode.
func kindOf(mode fs.FileMode) tree.Kind {
	switch {
	case mode.IsDir():
		return tree.Directory
	case mode&fs.ModeSymlink != 0:
		return tree.Symlink
	case mode.IsRegular():
		return tree.File
	default:
		return tree.Special
	}
}

// whatIs names the kind of something that no archive may have, by its mode.
func whatIs(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	default:
		return fmt.Sprintf("something special (%v)", mode.Type())
	}
}

// maxTarget is more than the target of a link may have.
const maxTarget = 5000

// readLink reads the target of a symbolic link that is an entry's content.
func readLink(r io.Reader) (string, error) {
	var content bytes.Buffer
	_, err := io.Copy(&content, io.LimitReader(r, maxTarget))
	return content.String(), err
}
