package mounts

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/platform"
)

// place is where a mount goes: a path below a directory that is held open, so
// that nothing a task does to names can lead elsewhere.
type place struct {
	root    *os.Root
	dir     string // absolute path of root
	path    string // below root; "." is root itself
	outside bool   // root is not the task directory, and closed with the place
}

// findPlace finds the place a payload names, below the task directory unless it
// is absolute. What is inside an earlier place is reached through that, because
// there is nothing yet.
func findPlace(session *platform.Session, name string, earlier []*job) (*place, error) {
	name = filepath.FromSlash(name)
	if !filepath.IsAbs(name) {
		return &place{root: session.Root, dir: session.Dir, path: name}, nil
	}
	dir, base := filepath.Split(name)
	if base == "" {
		return nil, fmt.Errorf("cannot mount anything at %s", name)
	}
	p := &place{dir: filepath.Clean(dir), path: base, outside: true}
	for _, other := range earlier {
		if other.place.outside && other.place.has(p) {
			return other.place.inside(p)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create directory %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open directory %s: %w", dir, err)
	}
	p.root = root
	return p, nil
}

// inside is the same place as q, below the root of p.
func (p *place) inside(q *place) (*place, error) {
	path, err := filepath.Rel(p.dir, q.full())
	if err != nil {
		return nil, fmt.Errorf("cannot mount anything at %s: %w", q.full(), err)
	}
	root, err := p.root.OpenRoot(".")
	if err != nil {
		return nil, fmt.Errorf("cannot open directory %s: %w", p.dir, err)
	}
	return &place{root: root, dir: p.dir, path: path, outside: true}, nil
}

func (p *place) full() string { return filepath.Join(p.dir, p.path) }

// isDirectory tells whether a directory is there already.
func (p *place) isDirectory() bool {
	info, err := p.root.Stat(p.path)
	return err == nil && info.IsDir()
}

// free tells whether nothing is there.
func (p *place) free() bool {
	_, err := p.root.Lstat(p.path)
	return os.IsNotExist(err)
}

// parent makes the directories on the way to the place.
func (p *place) parent() error { return p.makeDirectory(filepath.Dir(p.path)) }

func (p *place) makeDirectory(path string) error {
	if path == "." {
		return nil
	}
	if err := p.root.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("cannot create directory %s: %w", filepath.Join(p.dir, path), err)
	}
	return nil
}

// has tells whether q is inside p.
func (p *place) has(q *place) bool {
	below, err := filepath.Rel(p.full(), q.full())
	return err == nil && below != "." && filepath.IsLocal(below)
}

func (p *place) close() error {
	if !p.outside {
		return nil
	}
	return p.root.Close()
}
