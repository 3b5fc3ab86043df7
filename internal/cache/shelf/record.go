package shelf

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// Kind is what an entry is.
type Kind string

// Kinds of entries.
const (
	File  Kind = "file"  // a downloaded file
	Tree  Kind = "tree"  // a directory filled from an archive
	Cache Kind = "cache" // a writable cache
)

// Record is what the file about an entry says.
type Record struct {
	Kind     Kind       `json:"kind"`
	Name     string     `json:"name"`
	Format   string     `json:"format,omitempty"`
	Key      string     `json:"key"`
	SHA256   string     `json:"sha256,omitempty"`
	Bytes    int64      `json:"bytes"`
	Created  time.Time  `json:"created"`
	LastUsed time.Time  `json:"lastUsed"`
	Uses     int        `json:"uses"`
	Reason   string     `json:"reason"`
	File     *tree.Stat `json:"file,omitempty"` // of the content, when its hash was made
}

// readRecord reads the file about the entry in a directory.
func readRecord(root *os.Root, dir string) (Record, error) {
	var r Record
	if err := readFile(root, filepath.Join(dir, recordName), &r); err != nil {
		return r, err
	}
	return r, r.check()
}

// longestFile is more than any file has that readFile reads.
const longestFile = 1 << 20

// readFile reads a file in JSON that this program wrote, unless somebody else did.
func readFile(root *os.Root, path string, into any) error {
	info, err := root.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > longestFile {
		return fmt.Errorf("%s is not a file of this program", filepath.Base(path))
	}
	text, err := root.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s is damaged: %w", filepath.Base(path), err)
	}
	return nil
}

func (r Record) check() error {
	switch {
	case r.Kind != File && r.Kind != Tree && r.Kind != Cache:
		return fmt.Errorf("%s has the kind %q", recordName, r.Kind)
	case len(r.Key) != 2*sha256.Size:
		return fmt.Errorf("%s has no key", recordName)
	}
	return nil
}

// Entry is what is known of something that is kept.
type Entry struct {
	ID       string    `json:"id"`
	Kind     Kind      `json:"kind"`
	Name     string    `json:"name"` // of the writable cache; else where the content comes from
	Format   string    `json:"format,omitempty"`
	Bytes    int64     `json:"bytes"` // on the disk, when it was last looked at
	SHA256   string    `json:"sha256,omitempty"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"lastUsed"`
	Uses     int       `json:"uses"`
	InUse    bool      `json:"inUse"`
	Reason   string    `json:"reason"` // of the last change
	Path     string    `json:"path"`
}

// Entry is the record as an Entry.
func (r Record) Entry(id, path string) Entry {
	return Entry{
		ID: id, Kind: r.Kind, Name: r.Name, Format: r.Format, Bytes: r.Bytes, SHA256: r.SHA256,
		Created: r.Created, LastUsed: r.LastUsed, Uses: r.Uses, Reason: r.Reason, Path: path,
	}
}
