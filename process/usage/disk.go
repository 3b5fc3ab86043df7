package usage

import (
	"os"
	"path/filepath"
	"time"
)

const (
	batch       = 1000    // entries of a directory that are read at a time
	mostEntries = 500_000 // that are looked at
	deepest     = 200     // levels of directories
)

// Disk adds up what the files below root occupy, in bytes, without following
// links. It is not whole if something could not be looked at, or the limit of
// time ended it. A file with two names counts twice.
func Disk(root *os.Root, limit time.Duration) (bytes int64, whole bool) {
	w := walk{root: root, deadline: time.Now().Add(limit), whole: true}
	w.directory(".", 0)
	return w.bytes, w.whole
}

type walk struct {
	root     *os.Root
	deadline time.Time
	entries  int
	bytes    int64
	whole    bool
}

func (w *walk) directory(name string, depth int) {
	dir, err := w.root.OpenFile(name, openDirectory, 0)
	if err != nil {
		w.whole = w.whole && os.IsNotExist(err)
		return
	}
	var below []string
	for {
		entries, err := dir.ReadDir(batch)
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				w.bytes += allocated(info)
			}
			if e.IsDir() {
				below = append(below, filepath.Join(name, e.Name()))
			}
		}
		w.entries += len(entries)
		if w.entries > mostEntries || time.Now().After(w.deadline) {
			w.whole = false
		}
		if err != nil || !w.whole {
			break
		}
	}
	_ = dir.Close()
	for _, name := range below {
		if depth == deepest {
			w.whole = false
		}
		if !w.whole {
			return
		}
		w.directory(name, depth+1)
	}
}
