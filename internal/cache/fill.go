package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// Staging is where fill makes content: on the disk of the store, and gone unless
// fill returns nil.
type Staging struct {
	Root *os.Root // an empty directory; nil for a file
	File *os.File // an empty file, for reading and writing; nil for a tree
	// KeepArchive says that tasks have changed this tree before, so that it will
	// be filled again: fill had better have the archive kept, by asking the store
	// for the file with the key Archive, and unpack from that.
	KeepArchive bool

	shelf *shelf.Shelf
	dir   string
}

// Path is where the content is made, for logs.
func (s *Staging) Path() string { return filepath.Join(s.shelf.Dir, s.dir, shelf.ContentName) }

// Spool makes another empty file on the same disk, such as for an archive that
// cannot be unpacked from a stream. It is gone when fill has returned; the caller closes it.
func (s *Staging) Spool() (*os.File, error) {
	return s.shelf.Root.OpenFile(filepath.Join(s.dir, spoolName), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// spoolName is what the file of Spool is called beside the content.
const spoolName = "spool"

// Filling is what fill tells of its work.
type Filling struct {
	SHA256 string // of what was downloaded, in lower-case hexadecimal
	Bytes  int64  // downloaded
}

// Fill makes content that is not kept.
type Fill func(ctx context.Context, staging *Staging) (Filling, error)

// HashError tells that a fill brought something else than what was wanted.
// Nothing of it is kept.
type HashError struct{ Want, Got string }

func (e *HashError) Error() string { return fmt.Sprintf("its sha256 is %q, not %q", e.Got, e.Want) }

// fill makes an entry, which the caller has for itself. Whatever goes wrong,
// nothing of it stays.
func (s *Store) fill(ctx context.Context, key Key, want Want, fill Fill) (e *entry, err error) {
	hash := key.hash()
	on := s.contents
	id, err := on.Stage(hash)
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory for a download in downloadsDir: %w", err)
	}
	staged := shelf.Staged(id)
	defer func() {
		if e == nil { // also after a panic
			on.Throw(staged)
		}
	}()
	s.mu.Lock()
	staging := &Staging{KeepArchive: key.Kind == Tree && s.changed.has(hash), shelf: on, dir: staged}
	s.mu.Unlock()
	filling, err := staging.run(ctx, key.Kind, fill)
	if err != nil {
		return nil, err
	}
	if want.SHA256 != "" && filling.SHA256 != want.SHA256 {
		return nil, &HashError{Want: want.SHA256, Got: filling.SHA256}
	}
	made := newEntry(on, id, shelf.Record{
		Kind: key.Kind, Name: shown(key.Source), Format: key.Format, Key: hash, SHA256: filling.SHA256,
		Created: now(), LastUsed: now(), Uses: 1, Reason: "downloaded",
	})
	if err := staging.seal(ctx, made); err != nil {
		return nil, fmt.Errorf("cannot keep %s: %w", made.Name, err)
	}
	made.note("filled", fmt.Sprintf("%d bytes were downloaded", filling.Bytes))
	return made, nil
}

// run opens what fill needs, and closes it afterwards.
func (s *Staging) run(ctx context.Context, kind shelf.Kind, fill Fill) (filling Filling, err error) {
	content := filepath.Join(s.dir, shelf.ContentName)
	if kind == Tree {
		if err = s.shelf.Root.Mkdir(content, 0o755); err == nil {
			s.Root, err = s.shelf.Root.OpenRoot(content)
		}
	} else {
		s.File, err = s.shelf.Root.OpenFile(content, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666) // a task gets it with this mode
	}
	if err != nil {
		return Filling{}, fmt.Errorf("cannot make room for a download in downloadsDir: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return fill(ctx, s)
}

// close closes what run opened, and removes the spool.
func (s *Staging) close() error {
	var err error
	if s.Root != nil {
		err = s.Root.Close()
	}
	if s.File != nil {
		if err = s.File.Close(); errors.Is(err, os.ErrClosed) {
			err = nil // fill may do that itself, to learn of late errors
		}
	}
	if gone := s.shelf.Root.Remove(filepath.Join(s.dir, spoolName)); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// seal completes what is staged, and gives it its place on the shelf.
func (s *Staging) seal(ctx context.Context, e *entry) error {
	content := filepath.Join(s.dir, shelf.ContentName)
	if e.Kind == Tree {
		manifest, err := s.list(ctx, content)
		if err != nil {
			return err
		}
		e.Bytes, e.newest = manifest.Bytes, manifest.Newest
	} else {
		stat, err := s.shelf.Stat(content)
		if err != nil {
			return err
		}
		e.File, e.Bytes = &stat, stat.Size
	}
	if err := s.shelf.WriteRecord(s.dir, e.Record); err != nil {
		return err
	}
	return s.shelf.Commit(e.id)
}

func (s *Staging) list(ctx context.Context, content string) (*tree.Manifest, error) {
	root, err := s.shelf.Root.OpenRoot(content)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	manifest, err := tree.List(ctx, root)
	if err != nil {
		return nil, err
	}
	return manifest, s.shelf.WriteManifest(s.dir, manifest)
}
