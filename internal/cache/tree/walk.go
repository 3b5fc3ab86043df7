package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

const (
	// deepest bounds the directories that are open at once.
	deepest = 256
	// batch is how many names of a directory are in memory at once.
	batch = 1024
)

// errSkip, returned for a directory, leaves out what is in it.
var errSkip = errors.New("skip this directory")

// entry is one thing in a tree.
type entry struct {
	in   *os.Root // the directory it is in
	name string
	path string // from the top, with slashes
	stat Stat
}

// walk visits everything below root, directories before what is in them, in
// no order. It follows no link. What is gone before its turn is left out.
func walk(ctx context.Context, root *os.Root, visit func(entry) error) error {
	return walkDir(ctx, entry{in: root, name: ".", path: "."}, 0, visit)
}

func walkDir(ctx context.Context, at entry, depth int, visit func(entry) error) error {
	if depth > deepest {
		return fmt.Errorf("there are more than %d directories within each other at %s", deepest, at.path)
	}
	root, err := at.in.OpenRoot(at.name)
	if errors.Is(err, fs.ErrNotExist) && depth > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(batch)
		if len(names) == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		found := make([]entry, 0, len(names))
		err = statAll(dir, names, func(name string, stat Stat) {
			found = append(found, entry{in: root, name: name, path: path.Join(at.path, name), stat: stat})
		})
		if err != nil {
			return err
		}
		if err := walkAll(ctx, found, depth, visit); err != nil {
			return err
		}
	}
}

func walkAll(ctx context.Context, found []entry, depth int, visit func(entry) error) error {
	for _, e := range found {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := visit(e)
		if errors.Is(err, errSkip) {
			continue
		}
		if err == nil && e.stat.Mode.IsDir() {
			err = walkDir(ctx, e, depth+1, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
