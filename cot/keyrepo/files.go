package keyrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/taskcluster/generic-worker/gpg"
)

// ReadFiles returns the keys in the files of a folder with the layout of a
// repository, such as a work tree in which somebody prepares the next version.
// With the layout nil, those directories of Usual are read that are there.
// Nobody vouches for the files, so the set is for looking at; what others can
// change, and symbolic links, are refused with ErrExposed all the same.
func ReadFiles(ctx context.Context, dir string, layout Layout) (*Set, error) {
	explicit := layout != nil
	if !explicit {
		layout = Usual()
	}
	groups, err := readFiles(ctx, dir, layout, explicit)
	if err != nil {
		return nil, fmt.Errorf("cannot read key repository %s: %w", dir, err)
	}
	return &Set{groups: groups}, nil
}

func readFiles(ctx context.Context, dir string, layout Layout, explicit bool) ([]group, error) {
	if err := layout.check(); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err == nil {
		err = sound(dir, info)
	}
	if err != nil {
		return nil, err
	}
	var files []file
	for _, d := range layout {
		_, err := os.Lstat(filepath.Join(dir, d.Implementation))
		if errors.Is(err, fs.ErrNotExist) && !explicit {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := filesBelow(ctx, filepath.Join(dir, d.Implementation), d)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return arrange(files, layout, explicit)
}

// ReadKeys returns the keys in a file or, at any depth, in the files of a
// folder. Files and folders that others can change, and symbolic links, are
// refused with ErrExposed, and a folder without keys with ErrEmpty. Files whose
// names end with .md are left out.
func ReadKeys(name string) (*gpg.Keyring, error) {
	ring, err := readKeys(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the keys in %s: %w", name, err)
	}
	return ring, nil
}

func readKeys(name string) (*gpg.Keyring, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		data, err := readFile(name, largestFile)
		if err != nil {
			return nil, err
		}
		return gpg.Read(data)
	}
	files, err := filesBelow(context.Background(), name, Directory{Implementation: filepath.Base(name), Ignored: []string{".md"}})
	if err != nil {
		return nil, err
	}
	ring := gpg.NewKeyring()
	for _, f := range files {
		found, err := gpg.Read(f.data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		ring = ring.Merge(found)
	}
	if len(ring.Keys()) == 0 {
		return nil, fmt.Errorf("%w in it", ErrEmpty)
	}
	return ring, nil
}

// filesBelow reads the keys in a folder that is a directory of a repository.
func filesBelow(ctx context.Context, folder string, d Directory) ([]file, error) {
	var files []file
	seen, left := 0, int64(largestOfAll)
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return err
		}
		if seen++; seen > mostFiles {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, mostFiles)
		}
		relative, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		f := file{path: path.Join(d.Implementation, filepath.ToSlash(relative))}
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case info.IsDir():
			return sound(name, info)
		case info.Mode().IsRegular() && !d.wants(f.path), d.ignores(f.path):
			return nil
		}
		if f.data, err = readFile(name, min(largestFile, left)); err != nil {
			return err
		}
		left -= int64(len(f.data))
		files = append(files, f)
		return nil
	})
	return files, err
}

// readFile reads a plain file that others cannot change.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := sound(name, info); err != nil {
		return nil, err
	}
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	opened, err := in.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = fmt.Errorf("%s: %w: it was replaced while it was read", name, ErrExposed)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: %w: at most %d bytes are read", name, ErrTooLarge, limit)
	}
	return data, err
}

// sound refuses what is neither a file nor a folder, and what others can change.
func sound(name string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s: %w: it is a symbolic link; put the file itself there", name, ErrExposed)
	case !info.IsDir() && !info.Mode().IsRegular():
		return fmt.Errorf("%s: %w: it is neither a file nor a folder", name, ErrExposed)
	case changeable(info):
		return fmt.Errorf("%s: %w: other users can change it; take that right away with chmod go-w, and look at what it has", name, ErrExposed)
	}
	return nil
}
