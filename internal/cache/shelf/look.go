package shelf

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Look returns what is on the shelves in some directories without taking them,
// whether a worker has them or not, the most recently used first. What has gone
// or is damaged is left out.
func Look(dirs ...string) ([]Entry, error) {
	var all []Entry
	for _, dir := range dirs {
		root, err := os.OpenRoot(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := look(root, dir)
		if err = errors.Join(err, root.Close()); err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	Sort(all)
	return all, nil
}

func look(root *os.Root, dir string) ([]Entry, error) {
	ids, err := fs.ReadDir(root.FS(), entriesName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Entry
	for _, id := range ids {
		at := filepath.Join(entriesName, id.Name())
		r, err := readRecord(root, at)
		if err != nil {
			continue
		}
		e := r.Entry(id.Name(), filepath.Join(dir, at, ContentName))
		_, lent := root.Lstat(filepath.Join(at, leaseName))
		e.InUse = lent == nil
		all = append(all, e)
	}
	return all, nil
}

// Events returns what happened to entries of that name or id, the oldest first,
// as far as it is remembered.
func Events(name string, dirs ...string) ([]Event, error) {
	var all []Event
	for _, dir := range dirs {
		file, err := os.Open(filepath.Join(dir, historyName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := readHistory(file, func(e Event) bool { return e.Name == name || e.ID == name })
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return all, nil
}

// Sort puts the most recently used first.
func Sort(all []Entry) {
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(b.LastUsed.Compare(a.LastUsed), cmp.Compare(a.ID, b.ID))
	})
}
