// Package download keeps artifacts in a directory so that none is under its
// name before its hashes are right. Where the bytes come from, and which hashes are
// right, is for its caller.
package download

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// Store is a directory for artifacts. Its methods may be called concurrently,
// for different names.
type Store struct {
	Dir        *os.Root
	Algorithms []string // of hashes, that are allowed
	FileSize   int64    // bytes one artifact may have
	TotalSize  int64    // bytes all of them may have together

	total  atomic.Int64
	number atomic.Int64 // of temporary files
}

// Hashes refuses sums, by algorithm, with which nothing can be verified: there
// must be one, and each must be allowed.
func (s *Store) Hashes(sums map[string]string) error {
	_, err := s.sinks(sums)
	return err
}

func (s *Store) sinks(sums map[string]string) (map[string]hash.Hash, error) {
	sinks := map[string]hash.Hash{}
	for _, algorithm := range slices.Sorted(maps.Keys(sums)) {
		if !slices.Contains(s.Algorithms, algorithm) {
			return nil, report.Refuse("the certificate uses the algorithm %q, and the policy allows %s", algorithm, strings.Join(s.Algorithms, ", "))
		}
		switch algorithm {
		case "sha256":
			sinks[algorithm] = sha256.New()
		case "sha384":
			sinks[algorithm] = sha512.New384()
		case "sha512":
			sinks[algorithm] = sha512.New()
		default:
			return nil, report.Refuse("the algorithm %q is not strong enough, or not known", algorithm)
		}
	}
	if len(sinks) == 0 {
		return nil, report.Refuse("the certificate has no hash of it")
	}
	return sinks, nil
}

// Keep reads an artifact to its end and, if it has the sums, gives it its name,
// below the directory and with slashes. It returns the number of its bytes. An
// artifact that is not right is refused and gone; other errors are those of
// reading and of the disk. Reading also ends with ctx.
func (s *Store) Keep(ctx context.Context, name string, from io.Reader, sums map[string]string) (int64, error) {
	sinks, err := s.sinks(sums)
	if err != nil {
		return 0, err
	}
	temporary := fmt.Sprintf("partial-%d", s.number.Add(1))
	size, err := s.write(temporary, &metered{ctx: ctx, from: from, store: s}, sinks)
	if err == nil {
		err = compare(sums, sinks)
	}
	if err == nil {
		err = s.settle(temporary, name)
	}
	if err != nil {
		return 0, errors.Join(err, s.Remove(temporary))
	}
	return size, nil
}

// write copies what comes in to a new file and the hashes.
func (s *Store) write(name string, from io.Reader, sinks map[string]hash.Hash) (int64, error) {
	if err := s.Remove(name); err != nil {
		return 0, err
	}
	to, err := s.Dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("cannot keep it: %w", err)
	}
	writers := []io.Writer{to}
	for _, sink := range sinks {
		writers = append(writers, sink)
	}
	size, err := io.Copy(io.MultiWriter(writers...), from)
	if closing := to.Close(); err == nil {
		err = closing
	}
	return size, err
}

func compare(sums map[string]string, sinks map[string]hash.Hash) error {
	for _, algorithm := range slices.Sorted(maps.Keys(sums)) {
		if got := hex.EncodeToString(sinks[algorithm].Sum(nil)); got != sums[algorithm] {
			return report.Refuse("its %s is %s, and the certificate says %s", algorithm, got, sums[algorithm])
		}
	}
	return nil
}

func (s *Store) settle(temporary, name string) error {
	err := s.Dir.MkdirAll(path.Dir(name), 0o700)
	if err == nil {
		err = s.Dir.Rename(temporary, name)
	}
	if err != nil {
		return fmt.Errorf("cannot keep it: %w", err)
	}
	return nil
}

// Remove removes a file, or a directory with all that is in it.
func (s *Store) Remove(name string) error {
	if err := s.Dir.RemoveAll(name); err != nil {
		return fmt.Errorf("cannot remove %s: %w", name, err)
	}
	return nil
}

// metered counts what is read, and ends with the context.
type metered struct {
	ctx   context.Context // of the download; io.Reader has none
	from  io.Reader
	store *Store
	size  int64
}

// Read reads.
func (m *metered) Read(p []byte) (int, error) {
	if m.ctx.Err() != nil {
		return 0, context.Cause(m.ctx)
	}
	n, err := m.from.Read(p)
	m.size += int64(n)
	switch {
	case m.size > m.store.FileSize:
		return 0, report.Refuse("it has more than %d bytes, the policy's limit", m.store.FileSize)
	case m.store.total.Add(int64(n)) > m.store.TotalSize:
		return 0, report.Refuse("the artifacts of the chain have more than %d bytes together, the policy's limit", m.store.TotalSize)
	}
	return n, err
}

// File is an artifact that is kept.
type File struct {
	ctx  context.Context // of the reading; io.Reader has none
	file *os.File
	err  error
}

// Open opens an artifact. Reading ends with ctx.
func (s *Store) Open(ctx context.Context, name string) (*File, error) {
	file, err := s.Dir.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot open an artifact that was kept: %w", err)
	}
	return &File{ctx: ctx, file: file}, nil
}

// Read reads.
func (f *File) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		f.err = context.Cause(f.ctx)
		return 0, f.err
	}
	n, err := f.file.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// Err is the first error of reading but io.EOF, whatever became of it with the
// reader.
func (f *File) Err() error { return f.err }

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }
