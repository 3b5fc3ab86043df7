package unpack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

// place is a directory to unpack into, among others that must not change.
type place struct {
	t      testing.TB
	around string
	before []string
	root   *os.Root
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, around: t.TempDir()}
	for _, name := range []string{"above/into", "above/beside", "etc"} {
		if err := os.MkdirAll(filepath.Join(p.around, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"secret", "above/secret", "above/beside/secret", "etc/passwd"} {
		if err := os.WriteFile(filepath.Join(p.around, name), []byte("unchanged"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(filepath.Join(p.around, "above/into"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	p.root = root
	p.before = p.outside()
	return p
}

// outside is all there is around the directory: paths, modes, sizes, times and
// hashes.
func (p *place) outside() []string {
	return list(p.t, p.around, func(name string) bool { return name == "above/into" })
}

// inside is all there is in the directory, one line each.
func (p *place) inside() []string {
	return list(p.t, p.root.Name(), func(string) bool { return false })
}

// unchanged fails the test if anything outside of the directory is not as it was.
func (p *place) unchanged() {
	p.t.Helper()
	if diff := cmp.Diff(p.before, p.outside()); diff != "" {
		p.t.Errorf("something outside of the directory changed (-before +after):\n%s", diff)
	}
	var out []string
	absolute := false
	err := filepath.WalkDir(p.root.Name(), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink == 0 {
			return err
		}
		to, err := os.Readlink(name)
		if filepath.IsAbs(to) {
			absolute = true
			return filepath.SkipAll // others may lead out through this one, which is made as it is
		}
		if to, err := filepath.EvalSymlinks(name); err == nil && to != p.root.Name() && !strings.HasPrefix(to, p.root.Name()+"/") {
			out = append(out, fmt.Sprintf("%s leads to %s, outside of the directory", name, to))
		}
		return err
	})
	if err != nil {
		p.t.Error(err)
	}
	if !absolute && len(out) > 0 {
		p.t.Errorf("%q", out)
	}
}

func list(t testing.TB, dir string, leaveOut func(string) bool) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		local, err := filepath.Rel(dir, name)
		if err != nil || local == "." {
			return err
		}
		local = filepath.ToSlash(local)
		if leaveOut(local) {
			return filepath.SkipDir
		}
		line, err := describe(name, local)
		found = append(found, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func describe(name, local string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return "", err
	}
	switch {
	case info.Mode().IsRegular():
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if len(content) <= 40 {
			return fmt.Sprintf("%s %v %s", local, info.Mode(), content), nil
		}
		return fmt.Sprintf("%s %v %d %x", local, info.Mode(), len(content), sha256.Sum256(content)), nil
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(name)
		return fmt.Sprintf("%s -> %s", local, to), err
	default:
		return fmt.Sprintf("%s/ %v", local, info.Mode()), nil
	}
}

// archive unpacks bytes, from a file where the format needs one.
func (p *place) archive(ctx context.Context, format string, content []byte, limits unpack.Limits) (unpack.Report, error) {
	p.t.Helper()
	var from io.Reader = bytes.NewReader(content)
	if unpack.Seekable(format) {
		name := filepath.Join(p.t.TempDir(), "archive")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			p.t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			p.t.Fatal(err)
		}
		defer f.Close()
		from = f
	}
	return unpack.Archive(ctx, format, from, p.root, limits)
}
