// Package shelf knows how entries lie in a directory: what belongs to one, what
// says that it is complete, and what happened to those that were there. Which
// entries are kept, and who gets them, is for package cache to say.
package shelf

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/tree"
	"github.com/taskcluster/generic-worker/internal/filelock"
	"github.com/taskcluster/generic-worker/internal/trash"
)

// What is in the directory of a shelf.
const (
	entriesName  = "entries"  // what is kept
	stagingName  = "staging"  // what is half made
	requestsName = "requests" // of the command line
	historyName  = "history.jsonl"
)

// What is in the directory of an entry.
const (
	// ContentName is what the content of an entry is called in its directory.
	ContentName  = "content"
	recordName   = "entry.json"
	manifestName = "manifest" // of a tree
	leaseName    = "lease"    // as long as the content may be elsewhere
)

// Shelf is a directory of entries that this process has locked.
type Shelf struct {
	Dir  string   // absolute path
	Root *os.Root // the same directory

	bin     *trash.Trash
	history *history
	log     *slog.Logger
	unlock  func() error
}

// Open makes the directory, which must be an absolute path, locks it, and throws
// away what is half made. setting is the configuration key that names it. If
// another process has it, the error is a *filelock.HeldError.
func Open(ctx context.Context, dir, setting string, log *slog.Logger) (*Shelf, error) {
	for _, name := range []string{entriesName, stagingName, requestsName} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("cannot make a directory in %s: %w", setting, err)
		}
	}
	unlock, err := filelock.Take(dir, setting)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open %s: %w", setting, err), unlock())
	}
	s := &Shelf{Dir: dir, Root: root, log: log, unlock: unlock, history: &history{root: root}}
	if err := trash.Make(root); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make the trash in %s: %w", setting, err), root.Close(), unlock())
	}
	s.bin = trash.New(log, func() *os.Root { return root })
	s.bin.Start(ctx)
	for _, name := range s.names(stagingName) {
		s.Throw(filepath.Join(stagingName, name))
	}
	return s, nil
}

// Close waits until what was thrown away is deleted, at the latest when ctx is done.
func (s *Shelf) Close(ctx context.Context) error {
	return errors.Join(s.bin.Close(ctx), s.Root.Close(), s.unlock())
}

// names lists a directory of the shelf.
func (s *Shelf) names(dir string) []string {
	entries, err := fs.ReadDir(s.Root.FS(), dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("cannot look into the directory of caches", "dir", filepath.Join(s.Dir, dir), "error", err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// Throw moves something on the shelf out of the way, to be deleted when there is
// time. On a disk so full that nothing can be moved, it is deleted here.
func (s *Shelf) Throw(path string) {
	err := s.ToTrash(s.Root, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// Without its record an entry, however much of it is left, counts for nothing.
		if err = s.Root.Remove(filepath.Join(path, recordName)); err == nil || errors.Is(err, fs.ErrNotExist) {
			err = deleteHere(s.Place(path), throwLimit)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("cannot throw a cache away; delete it yourself", "path", filepath.Join(s.Dir, path), "error", err)
	}
}

// Delete moves something to the trash of the shelf; if that cannot be done, since it
// is on another disk or this one is full, it is deleted where it is.
func (s *Shelf) Delete(in *os.Root, path string) error {
	err := s.ToTrash(in, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return deleteHere(tree.Place{Root: in, Dir: in.Name(), Path: path}, deleteLimit)
	}
	return err
}

func deleteHere(at tree.Place, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return at.WithParent(func(in *os.Root, name string) error { return trash.Delete(ctx, in, name) })
}

const (
	// throwLimit bounds how long something is deleted while everybody waits.
	throwLimit = time.Minute
	// deleteLimit is for one task that waits. What is left is in the way of the next.
	deleteLimit = 10 * time.Minute
)

// ToTrash moves something to the trash of the shelf.
func (s *Shelf) ToTrash(in *os.Root, path string) error {
	if err := trash.Make(s.Root); err != nil {
		return err
	}
	from := tree.Place{Root: in, Dir: in.Name(), Path: path}
	to := s.Place(filepath.Join(trash.Name, strings.ToLower(rand.Text())))
	err := tree.Move(from, to)
	if errors.Is(err, fs.ErrPermission) && from.Own() == nil {
		err = tree.Move(from, to) // to move a directory one must be able to write to it
	}
	if err == nil {
		s.bin.Stir()
	}
	return err
}

// Place is a path on the shelf as a place.
func (s *Shelf) Place(path string) tree.Place {
	return tree.Place{Root: s.Root, Dir: s.Dir, Path: path}
}

// Stage makes the directory of a new entry, for something with that hash.
func (s *Shelf) Stage(hash string) (id string, err error) {
	id = hash[:16] + "-" + strings.ToLower(rand.Text()[:8])
	// A task can have removed the directory, as long as it runs as the worker's user.
	err = s.Root.MkdirAll(stagingName, 0o700)
	if err == nil {
		err = s.Root.Mkdir(Staged(id), 0o700)
	}
	return id, err
}

// Commit gives a staged entry, which is complete, its place.
func (s *Shelf) Commit(id string) error {
	if err := s.Root.MkdirAll(entriesName, 0o700); err != nil {
		return err
	}
	return s.Root.Rename(Staged(id), Kept(id))
}

// Write replaces a file by one rename.
func (s *Shelf) Write(path string, text []byte) error {
	fresh := path + ".new"
	if err := s.Root.WriteFile(fresh, text, 0o600); err != nil {
		return err
	}
	return s.Root.Rename(fresh, path)
}

// WriteRecord writes the file about an entry that is in dir.
func (s *Shelf) WriteRecord(dir string, r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.Write(filepath.Join(dir, recordName), text)
}

// WriteManifest writes the list of what is in a tree.
func (s *Shelf) WriteManifest(dir string, m *tree.Manifest) error {
	file, err := s.Root.Create(filepath.Join(dir, manifestName))
	if err != nil {
		return err
	}
	return errors.Join(m.Write(file), file.Close())
}

// ReadManifest reads what WriteManifest wrote.
func (s *Shelf) ReadManifest(dir string) (*tree.Manifest, error) {
	file, err := s.Root.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return tree.Read(file)
}

// Staged is the directory of a staged entry on its shelf.
func Staged(id string) string { return filepath.Join(stagingName, id) }

// Kept is the directory of an entry on its shelf.
func Kept(id string) string { return filepath.Join(entriesName, id) }

// Lend notes on the disk that the content of the entry in a directory may be elsewhere.
func (s *Shelf) Lend(dir string) error {
	return s.Root.WriteFile(filepath.Join(dir, leaseName), nil, 0o600)
}

// Settle writes what is known of an entry, whose content is complete, and then
// takes the note of Lend away.
func (s *Shelf) Settle(dir string, r Record) error {
	if err := s.WriteRecord(dir, r); err != nil {
		return err
	}
	err := s.Root.Remove(filepath.Join(dir, leaseName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// IDs lists the entries of the shelf.
func (s *Shelf) IDs() []string { return s.names(entriesName) }

// Inspect reads what is known of an entry that nobody has, and says why it
// cannot be used; empty if it can.
func (s *Shelf) Inspect(id string) (r Record, why string) {
	dir := Kept(id)
	r, err := readRecord(s.Root, dir)
	if _, lent := s.Root.Lstat(filepath.Join(dir, leaseName)); lent == nil {
		return r, "it was in use when the worker was killed"
	}
	if err != nil {
		return r, "nothing certain is known of it: " + err.Error()
	}
	info, err := s.Root.Lstat(filepath.Join(dir, ContentName))
	switch {
	case err != nil:
		return r, "its content is missing"
	case info.IsDir() != (r.Kind != File):
		return r, "its content is something else than a " + string(r.Kind)
	}
	return r, ""
}

// Emptied waits until what was thrown away before is deleted, at the latest
// until ctx is done.
func (s *Shelf) Emptied(ctx context.Context) { _ = s.bin.Settle(ctx) }

// Stat tells about a file on the shelf.
func (s *Shelf) Stat(path string) (tree.Stat, error) {
	file, err := s.Root.Open(path)
	if err != nil {
		return tree.Stat{}, err
	}
	defer file.Close()
	return tree.StatFile(file)
}

// Note remembers what happened to an entry.
func (s *Shelf) Note(e Event) { s.history.add(e) }
