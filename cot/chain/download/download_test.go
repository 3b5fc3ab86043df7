package download

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/taskcluster/generic-worker/cot/chain/report"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return &Store{Dir: dir, Algorithms: []string{"sha256", "sha384", "sha512", "md5"}, FileSize: 1 << 20, TotalSize: 1 << 20}
}

func sums(data string) map[string]string {
	small, middle, large := sha256.Sum256([]byte(data)), sha512.Sum384([]byte(data)), sha512.Sum512([]byte(data))
	return map[string]string{"sha256": hex.EncodeToString(small[:]), "sha384": hex.EncodeToString(middle[:]), "sha512": hex.EncodeToString(large[:])}
}

func with(sums map[string]string, algorithm, sum string) map[string]string {
	sums[algorithm] = sum
	return sums
}

func TestKeep(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, row := range []struct {
		name    string
		file    string
		from    io.Reader
		sums    map[string]string
		verdict report.Verdict
	}{
		{"right", "t/public/x", strings.NewReader("text"), sums("text"), report.OK},
		{"empty", "t/public/x", strings.NewReader(""), sums(""), report.OK},
		{"byte by byte", "t/x", iotest.OneByteReader(strings.NewReader("text")), sums("text"), report.OK},
		{"end with the data", "t/x", iotest.DataErrReader(strings.NewReader("text")), sums("text"), report.OK},
		{"shorter", "t/x", strings.NewReader("tex"), sums("text"), report.Failed},
		{"longer", "t/x", strings.NewReader("texts"), sums("text"), report.Failed},
		{"one of three wrong", "t/x", strings.NewReader("text"), with(sums("text"), "sha512", sums("texts")["sha512"]), report.Failed},
		{"in upper case", "t/x", strings.NewReader("text"), map[string]string{"sha256": strings.ToUpper(sums("text")["sha256"])}, report.Failed},
		{"no sums", "t/x", strings.NewReader("text"), nil, report.Failed},
		{"a weak algorithm, allowed", "t/x", strings.NewReader("text"), map[string]string{"md5": "1cb251ec0d568de6a929b520c4aed8d1"}, report.Failed},
		{"an unknown algorithm", "t/x", strings.NewReader("text"), with(sums("text"), "sha0", "00"), report.Failed},
		{"too long", "t/x", strings.NewReader(strings.Repeat("x", 1<<20+1)), sums(strings.Repeat("x", 1<<20+1)), report.Failed},
		{"broken", "t/x", io.MultiReader(strings.NewReader("text"), iotest.ErrReader(broken)), sums("text"), report.Undecided},
		{"outside", "../x", strings.NewReader("text"), sums("text"), report.Undecided},
		{"a directory in its place", "in/the/way", strings.NewReader("text"), sums("text"), report.Undecided},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			if err := s.Dir.MkdirAll("in/the/way/x", 0o700); err != nil {
				t.Fatal(err)
			}
			size, err := s.Keep(t.Context(), row.file, row.from, row.sums)
			if got := report.VerdictOf(err); got != row.verdict {
				t.Errorf("%s: %v", got, err)
			}
			var there []string
			_ = fs.WalkDir(s.Dir.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					there = append(there, path)
				}
				return err
			})
			if row.verdict != report.OK {
				if len(there) > 0 {
					t.Errorf("there is %q", there)
				}
				return
			}
			data, err := s.Dir.ReadFile(row.file)
			if err != nil || int64(len(data)) != size || sums(string(data))["sha256"] != row.sums["sha256"] || len(there) != 1 {
				t.Errorf("there is %q, %d bytes of %d, %v", there, len(data), size, err)
			}
		})
	}
}

func TestTotal(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	half := strings.Repeat("x", 600_000)
	if _, err := s.Keep(t.Context(), "t/1", strings.NewReader(half), sums(half)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keep(t.Context(), "t/2", strings.NewReader(half), sums(half)); report.VerdictOf(err) != report.Failed {
		t.Errorf("beyond the total: %v", err)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if _, err := s.Keep(t.Context(), "t/1", strings.NewReader("text"), sums("text")); err != nil {
		t.Fatal(err)
	}
	why := errors.New("the worker shuts down")
	ctx, cancel := context.WithCancelCause(t.Context())
	file, err := s.Open(ctx, "t/1")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if text, err := io.ReadAll(file); string(text) != "text" || err != nil || file.Err() != nil {
		t.Errorf("%q, %v, %v", text, err, file.Err())
	}
	cancel(why)
	if _, err := io.ReadAll(file); !errors.Is(err, why) || !errors.Is(file.Err(), why) {
		t.Errorf("reading after the end: %v, %v", err, file.Err())
	}
	if _, err := s.Keep(ctx, "t/2", strings.NewReader("text"), sums("text")); !errors.Is(err, why) || report.VerdictOf(err) != report.Undecided {
		t.Errorf("keeping after the end: %v", err)
	}
	if _, err := s.Open(ctx, "t/2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening what is not there: %v", err)
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	s, outside := newStore(t), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(s.Dir.Name(), "t")); err != nil {
		t.Skipf("cannot make links here: %v", err)
	}
	if _, err := s.Keep(t.Context(), "t/x", strings.NewReader("text"), sums("text")); err == nil {
		t.Error("a link led out of the directory")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"public/build/target.zip", "x", "a b/c", "public/ünïcode", "..x/y", "-", "public/[x]*?"} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/", "/x", "x/", "x//y", "x/./y", "x/../y", "../x", "x/..", `x\y`, `..\x`, "x\x00", "x\ny", "x\u202ey", "x\xff", "x.", "x /y", "x/y. ",
		strings.Repeat("x", 1025),
	} {
		if CheckName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestCheckDistinct(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"a"}, {"a", "b", "ab", "c/a"}, {"a/b", "a/c", "a-b", "a.b/c"}, {"x/stra\u00dfe", "x/strasse"}} {
		if err := CheckDistinct(names); err != nil {
			t.Error(err)
		}
	}
	for _, names := range [][]string{
		{"a/B", "a/b"},
		{"A/x", "a/x"},
		{"x/\u017f", "x/s"},
		{"x/\u212a", "x/k"},
		{"x/\u03c3", "x/\u03c2"}, // characters with more than two cases
		{"a", "a/b"},
		{"a/b/c", "a-b", "a/b"},
		{"A", "a/b"}, // a file that would be a directory
	} {
		if err := CheckDistinct(names); report.VerdictOf(err) != report.Failed {
			t.Errorf("%q: %v", names, err)
		}
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern  string
		yes, not []string
	}{
		{"public/*", []string{"public/", "public/x", "public/x/y"}, []string{"public", "private/x", "x/public/y"}},
		{"*", []string{"", "x/y\nz"}, nil},
		{"a?c", []string{"abc", "a/c"}, []string{"ac", "abbc"}},
		{"a[bc]d*", []string{"abd", "acdx"}, []string{"aad", "a[bc]d"}},
		{"a[!bc]d*", []string{"aad", "a!d"}, []string{"abd"}},
		{"[a-c]*", []string{"b"}, []string{"d", "-"}},
		{"[^a]*", []string{"^", "a"}, []string{"b"}},
		{`[\]*`, []string{`\`}, []string{"]"}},
		{"[z-a]*", nil, []string{"z", "a", "m"}},
		{"[x*", []string{"[x", "[xy"}, []string{"x"}},
		{"[]*", []string{"[]", "[]x"}, []string{""}},
		{"a.b*", []string{"a.bc"}, []string{"axb"}},
		{"*.{zip,txt}", []string{"x.{zip,txt}"}, []string{"x.zip"}},
	} {
		match := Glob(row.pattern)
		for _, name := range row.yes {
			if !match.MatchString(name) {
				t.Errorf("%q does not match %q", row.pattern, name)
			}
		}
		for _, name := range row.not {
			if match.MatchString(name) {
				t.Errorf("%q matches %q", row.pattern, name)
			}
		}
	}
}

// FuzzGlob has patterns without special characters match themselves only, and
// names that are accepted stay below their directory.
func FuzzGlob(f *testing.F) {
	for _, pattern := range []string{"public/*.zip", "[!a-z]?", "[[:alpha:]]*", `[\d]*`, "[^]*", "é*[ü]"} {
		f.Add(pattern, "public/x.zip")
	}
	special := regexp.MustCompile(`[*?\[]`)
	f.Fuzz(func(t *testing.T, pattern, name string) {
		match := Glob(pattern)
		if !special.MatchString(pattern) && match.MatchString(name) != (pattern == name) {
			t.Errorf("%q matches %q: %t", pattern, name, pattern != name)
		}
		if CheckName(name) == nil && (filepath.Clean(name) != filepath.FromSlash(name) || slices.Contains(strings.Split(name, "/"), "..")) {
			t.Errorf("%q is accepted", name)
		}
	})
}
