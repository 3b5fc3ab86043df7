package taskdir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

func tree(t testing.TB) Tree {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return Tree{Root: root}
}

func (t Tree) write(tb testing.TB, path, content string) string {
	tb.Helper()
	full := filepath.Join(t.Root.Name(), filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return full
}

func (t Tree) link(tb testing.TB, target, path string) {
	tb.Helper()
	if err := os.Symlink(filepath.FromSlash(target), filepath.Join(t.Root.Name(), filepath.FromSlash(path))); err != nil {
		tb.Skipf("symbolic links cannot be made here: %v", err)
	}
}

func content(t testing.TB, f *os.File) string {
	t.Helper()
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := tree(t)
	name := in.Root.Name()
	in.write(t, "dir/file", "inside")
	in.link(t, "dir/file", "relative")
	in.link(t, name+"/dir/file", "absolute")
	in.link(t, name+"/dir", "folder")
	in.link(t, name+"/relative", "twice")
	in.link(t, "../../../../../../../../.."+filepath.ToSlash(outside), "out")
	in.link(t, outside, "absolutely-out")
	in.link(t, filepath.Dir(outside), "folder-out")
	in.link(t, "loop", "loop")
	in.link(t, "nowhere", "dangling")
	last := "dir/file"
	for i := range 60 {
		next := "chain" + strings.Repeat("x", i)
		in.link(t, name+"/"+last, next)
		last = next
	}
	tests := []struct {
		path   string
		reason artifact.Reason // "" if it opens
	}{
		{"dir/file", ""},
		{"./dir//../dir/file", ""},
		{name + "/dir/file", ""},
		{"relative", ""},
		{"absolute", ""},
		{"folder/file", ""},
		{"twice", ""},
		{"missing", artifact.Missing},
		{"dir/file/below", artifact.Missing},
		{"dangling", artifact.Missing},
		{"dir", artifact.Invalid},
		{".", artifact.Invalid},
		{"", artifact.Invalid},
		{"..", artifact.Invalid},
		{"../outside", artifact.Invalid},
		{"dir/../../outside", artifact.Invalid},
		{outside, artifact.Invalid},
		{"out", artifact.Invalid},
		{"absolutely-out", artifact.Invalid},
		{"folder-out/outside", artifact.Invalid},
		{"loop", artifact.Invalid},
		{last, artifact.Invalid},
		{"dir/fi\x00le", artifact.Invalid},
		{strings.Repeat("x", 5000), artifact.Invalid},
	}
	for _, test := range tests {
		f, info, err := in.Open(test.path)
		switch failure, ok := errors.AsType[*artifact.FileError](err); {
		case err == nil && test.reason == "":
			if got := content(t, f); got != "inside" || info.Size() != int64(len(got)) {
				t.Errorf("%q: read %q", test.path, got)
			}
		case err == nil:
			t.Errorf("%q: read %q", test.path, content(t, f))
		case !ok || failure.Reason != test.reason || test.reason == "":
			t.Errorf("%.60q: got %v, want %q", test.path, err, test.reason)
		}
	}
	in.Absolute = true
	if f, _, err := in.Open(outside); err != nil || content(t, f) != "outside" {
		t.Errorf("an absolute path does not open: %v", err)
	}
	if _, _, err := in.Open("../outside"); err == nil {
		t.Error("a relative path leads outside")
	}
}

func TestOpenTellsWhatIsNotReadable(t *testing.T) {
	t.Parallel()
	in := tree(t)
	path := in.write(t, "secret", "x")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	var err error
	asOrdinaryUser(t, func() { _, _, err = in.Open("secret") })
	if failure, ok := errors.AsType[*artifact.FileError](err); !ok || failure.Reason != artifact.Unreadable {
		t.Errorf("got %v", err)
	}
}

// A link to a file of somebody else gives nobody a right to it.
func TestA6HardLink(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o000); err != nil {
		t.Fatal(err)
	}
	in := tree(t)
	if err := os.Link(outside, filepath.Join(in.Root.Name(), "link")); err != nil {
		t.Skipf("hard links cannot be made here: %v", err)
	}
	var err error
	asOrdinaryUser(t, func() { _, _, err = in.Open("link") })
	if failure, ok := errors.AsType[*artifact.FileError](err); !ok || failure.Reason != artifact.Unreadable {
		t.Errorf("got %v", err)
	}
}

// A link swapped between inside and outside leads outside in no moment.
func TestOpenUnderASwapper(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := tree(t)
	inside := in.write(t, "file", "inside")
	in.link(t, "file", "link")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		at := filepath.Join(in.Root.Name(), "link")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			os.Remove(at + "2")
			os.Symlink([]string{outside, inside, "file"}[i%3], at+"2")
			os.Rename(at+"2", at)
		}
	}()
	opened := 0
	for range 5_000 {
		f, _, err := in.Open("link")
		if err != nil {
			continue
		}
		opened++
		if got := content(t, f); got != "inside" {
			t.Errorf("read %q", got)
			break
		}
	}
	close(stop)
	<-done
	if opened == 0 {
		t.Error("the link never opened")
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	in := tree(t)
	in.write(t, "dir/a", "")
	in.link(t, in.Root.Name()+"/dir", "link")
	for _, path := range []string{"dir", "link", "."} {
		dir, err := in.Directory(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if names, err := dir.Readdirnames(-1); err != nil || len(names) == 0 {
			t.Errorf("%s: got %v, %v", path, names, err)
		}
		dir.Close()
	}
	for path, want := range map[string]artifact.Reason{"dir/a": artifact.Invalid, "missing": artifact.Missing, "..": artifact.Invalid} {
		_, err := in.Directory(path)
		if failure, ok := errors.AsType[*artifact.FileError](err); !ok || failure.Reason != want {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// FuzzArtifactPath checks that no path reads what is outside the tree, and
// that none makes Open wait.
func FuzzArtifactPath(f *testing.F) {
	for _, seed := range []string{
		"dir/file", "../outside", "/etc/passwd", "link/../../outside", "out/outside", `..\outside`, `C:\outside`,
		`\\?\C:\outside`, "dir/./file", "dir//file/", "NUL", "dir/file\x00", "\u202e", "a/../../b", "~", "%2e%2e/outside",
	} {
		f.Add(seed)
	}
	base := f.TempDir()
	if err := os.WriteFile(filepath.Join(base, "outside"), []byte("outside"), 0o600); err != nil {
		f.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(base, "tree", "dir"), 0o700); err != nil {
		f.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(base, "tree"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	in := Tree{Root: root}
	in.write(f, "dir/file", "inside")
	for link, target := range map[string]string{"out": base, "up": "../outside", "link": "dir", "self": root.Name()} {
		os.Symlink(target, filepath.Join(root.Name(), link))
	}
	f.Fuzz(func(t *testing.T, path string) {
		start := time.Now()
		file, info, err := in.Open(path)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if err != nil {
			if _, ok := errors.AsType[*artifact.FileError](err); !ok {
				t.Errorf("got an untyped %v", err)
			}
			return
		}
		if got := content(t, file); got != "inside" || info.Mode()&fs.ModeType != 0 {
			t.Errorf("read %q, %v", got, info.Mode())
		}
	})
}
