// Package blob keeps the bytes of artifacts as files in one directory. A file
// is complete and on disk before anyone learns its id, and never changes.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskcluster/slugid-go/slugid"
)

// ErrTruncated says that fewer bytes arrived than were announced.
var ErrTruncated = errors.New("fewer bytes arrived than the length that was announced")

const (
	partial    = ".part" // suffix of files that are still being written
	bufferSize = 256 << 10
)

// Store is a directory of files. Its methods may be called concurrently.
type Store struct {
	dir string
}

// New returns the store in the given directory, which is created when it is
// needed. One process may use it.
func New(dir string) *Store { return &Store{dir: dir} }

// Keep removes every file whose id is not wanted, and the remains of writes
// that were cut off. Nothing may be written meanwhile.
func (s *Store) Keep(wanted map[string]bool) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("cannot create artifact directory: %w", err)
	}
	// A store has two levels: up to 64 directories, by the first character of the id.
	return filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("cannot list artifact directory: %w", err)
		}
		if entry.Type().IsRegular() && !wanted[entry.Name()] {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("cannot remove unused artifact file: %w", err)
			}
		}
		return nil
	})
}

// Blob is a file that was stored.
type Blob struct {
	ID     string
	Length int64
	SHA256 string // lower-case hex
}

// Write stores exactly length bytes from r. When it returns, they are on disk.
func (s *Store) Write(ctx context.Context, r io.Reader, length int64) (Blob, error) {
	id := slugid.Nice()
	path := s.path(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Blob{}, fmt.Errorf("cannot create artifact directory: %w", err)
	}
	f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Blob{}, fmt.Errorf("cannot create artifact file: %w", err)
	}
	sum, err := fill(ctx, f, r, length)
	if err == nil {
		err = os.Rename(path+partial, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return Blob{}, errors.Join(fmt.Errorf("cannot store artifact: %w", err), discard(path+partial))
	}
	return Blob{ID: id, Length: length, SHA256: sum}, nil
}

// fill writes and closes f.
func fill(ctx context.Context, f *os.File, r io.Reader, length int64) (sum string, err error) {
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	h := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(f, h), io.LimitReader(r, length), make([]byte, bufferSize))
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, io.ErrUnexpectedEOF), err == nil && n < length:
		return "", ErrTruncated
	case err != nil:
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), f.Sync()
}

func discard(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Open returns a stored file, which the caller closes.
func (s *Store) Open(id string) (*os.File, error) {
	f, err := os.Open(s.path(id))
	if err != nil {
		return nil, fmt.Errorf("cannot open artifact file: %w", err)
	}
	return f, nil
}

// Remove deletes a stored file, if it is there.
func (s *Store) Remove(id string) error {
	return discard(s.path(id))
}

func (s *Store) path(id string) string {
	return filepath.Join(s.dir, id[:1], id)
}
