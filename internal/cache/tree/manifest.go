package tree

import (
	"cmp"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"os"
)

// Manifest says what a tree consists of.
type Manifest struct {
	Entries map[string]Stat // by path from the top, with slashes
	Bytes   int64           // that it takes on the disk
	Newest  int64           // time of the last change, nanoseconds since 1970
}

// ChangedError tells that a tree is not what its manifest says.
type ChangedError struct {
	Path string
	What string // such as "is gone"
}

func (e *ChangedError) Error() string { return fmt.Sprintf("%q %s", e.Path, e.What) }

// errChanged says how a thing differs from what it was.
func errChanged(path string, was, now Stat) error {
	what := "was changed"
	switch {
	case was.Mode.Type() != now.Mode.Type():
		what = "was replaced by something else"
	case was.Mode != now.Mode:
		what = fmt.Sprintf("has mode %v, not %v", now.Mode, was.Mode)
	case was.Inode != now.Inode:
		what = "was replaced"
	case was.Size != now.Size:
		what = fmt.Sprintf("has %d bytes, not %d", now.Size, was.Size)
	}
	return &ChangedError{Path: path, What: what}
}

// List returns the manifest of everything below root.
func List(ctx context.Context, root *os.Root) (*Manifest, error) {
	m := &Manifest{Entries: map[string]Stat{}}
	seen := links{}
	err := walk(ctx, root, func(e entry) error {
		m.Entries[e.path] = e.stat
		m.Bytes += seen.bytes(e.stat)
		m.Newest = max(m.Newest, e.stat.Changed)
		return nil
	})
	return m, err
}

// Check compares what is below root with the manifest. What was added is given
// to remove, directories as a whole. The error for something changed or missing
// is a *ChangedError.
func (m *Manifest) Check(ctx context.Context, root *os.Root, remove func(in *os.Root, name string) error) error {
	found := 0
	err := walk(ctx, root, func(e entry) error {
		was, known := m.Entries[e.path]
		switch {
		case !known:
			return cmp.Or(remove(e.in, e.name), errSkip)
		case !was.same(e.stat):
			return errChanged(e.path, was, e.stat)
		}
		found++
		return nil
	})
	if err == nil && found < len(m.Entries) {
		err = m.missing(ctx, root)
	}
	return err
}

// missing names one thing that is not there any more.
func (m *Manifest) missing(ctx context.Context, root *os.Root) error {
	for path := range m.Entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := root.Lstat(path); err != nil {
			return &ChangedError{Path: path, What: "is gone"}
		}
	}
	return &ChangedError{Path: ".", What: "was changed while it was looked at"}
}

// Write writes the manifest so that Read can read it.
func (m *Manifest) Write(to io.Writer) error { return gob.NewEncoder(to).Encode(m) }

// Read reads what Write wrote.
func Read(from io.Reader) (*Manifest, error) {
	m := &Manifest{}
	if err := gob.NewDecoder(from).Decode(m); err != nil {
		return nil, fmt.Errorf("cannot read the list of files: %w", err)
	}
	return m, nil
}

// links are the files with several names that were met already, by inode.
type links map[uint64]string

// bytes is what a thing adds to the use of the disk.
func (l links) bytes(s Stat) int64 {
	if s.names > 1 && !s.Mode.IsDir() {
		if _, met := l[s.Inode]; met {
			return 0
		}
		l[s.Inode] = ""
	}
	return s.occupied
}
