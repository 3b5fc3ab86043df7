package unpack

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/nwaples/rardecode/v2"

	"github.com/taskcluster/generic-worker/internal/unpack/tree"
)

// rarSource reads a rar stream of one volume.
type rarSource struct {
	raw *bufio.Reader
	rar *rardecode.Reader
}

func openRar(in *input, limits Limits) (*rarSource, error) {
	raw := bufio.NewReaderSize(in, 128<<10)
	// The library searches for a signature in anything, and may do so for ever.
	start, err := raw.Peek(8)
	if !bytes.HasPrefix(start, []byte("Rar!\x1a\x07\x00")) && string(start) != "Rar!\x1a\x07\x01\x00" {
		if err == nil || err == io.EOF && len(start) > 0 {
			return nil, refuse("it is cut short, or no rar archive")
		}
		return nil, fault(unexpected(err))
	}
	s := &rarSource{raw: raw}
	err = shield(func() (err error) {
		s.rar, err = rardecode.NewReader(raw, rardecode.MaxDictionarySize(limits.Memory))
		return err
	})
	return s, rarFault(err)
}

// unexpected is an error where more has to come.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func rarFault(err error) error {
	switch {
	case errors.Is(err, rardecode.ErrArchiveEncrypted), errors.Is(err, rardecode.ErrArchivedFileEncrypted):
		return refuse("it is encrypted; make the archive without a password")
	case errors.Is(err, rardecode.ErrMultiVolume):
		return refuse("it goes on in another volume; make the archive in one")
	case errors.Is(err, rardecode.ErrDictionaryTooLarge):
		return refuse("its dictionary is larger than the limit: %w", err)
	}
	return fault(err)
}

func (s *rarSource) close() {}

func (s *rarSource) next() (tree.Entry, io.Reader, error) {
	var h *rardecode.FileHeader
	err := shield(func() (err error) {
		h, err = s.rar.Next()
		return err
	})
	if err == io.EOF {
		if _, err := io.Copy(io.Discard, s.raw); err != nil {
			return tree.Entry{}, nil, err
		}
		return tree.Entry{}, nil, io.EOF
	}
	if err != nil {
		return tree.Entry{}, nil, rarFault(err)
	}
	mode := h.Mode()
	e := tree.Entry{Name: h.Name, Kind: kindOf(mode), Mode: mode, Time: h.ModificationTime, Size: h.UnPackedSize, What: whatIs(mode)}
	if h.HostOS != rardecode.HostOSUnix {
		e.Mode = withoutUnix(mode)
	} else if h.Attributes&0xf000 == 0x1000 || h.Attributes&0xf000 == 0x2000 || h.Attributes&0xf000 == 0x6000 || h.Attributes&0xf000 == 0xc000 {
		e.Kind, e.What = tree.Special, "a device, a named pipe or a socket"
	}
	if h.UnKnownSize {
		e.Size = -1
	}
	content := rarContent{s.rar}
	switch {
	case h.Encrypted:
		return e, nil, refuse("it is encrypted; make the archive without a password")
	case e.Kind == tree.Directory && (h.UnPackedSize > 0 || h.UnKnownSize):
		return e, nil, directoryContent()
	case e.Kind == tree.Symlink && h.UnPackedSize == 0:
		e.Kind, e.What, e.Size = tree.Nothing, "a symbolic link of rar 5", 0
	case e.Kind == tree.Symlink:
		e.Link, err = readLink(shielded{content})
		e.Size = 0
		return e, nil, err
	case e.Kind == tree.File:
		return e, shielded{content}, nil
	}
	return e, nil, nil
}

// rarContent is the content of the current entry.
type rarContent struct{ r *rardecode.Reader }

func (c rarContent) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, rarFault(err)
}
