package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

var changed = time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)

// noise does not compress.
func noise(n int) string {
	var seed [32]byte
	b := make([]byte, n)
	rand.NewChaCha8(seed).Read(b)
	return string(b)
}

// ordinary is an archive as anybody makes it. It has a file that is written in
// several parts.
func ordinary() []item {
	items := []item{
		dir("top"), mode(text("top/run", "#!/bin/sh\n"), 0o755), text("top/empty", ""), text("top/sub/deep/file", noise(5000)),
		symlink("top/link", "sub/deep/file"), mode(dir("top/private"), 0o700), text("top/private/a", strings.Repeat("text ", 2000)),
		text("top/large", noise(30_000)+strings.Repeat("large", 250_000)), text("ünï cödé ✓", "x"),
	}
	for i := range items {
		items[i].time = changed
	}
	return items
}

// TestOrdinaryArchives makes the same tree from all formats, with modes and
// times.
func TestOrdinaryArchives(t *testing.T) {
	t.Parallel()
	want := []string{
		"top/ drwxr-xr-x", "top/empty -rw-r--r-- ", "top/large -rw-r--r-- 1280000", "top/link -> sub/deep/file", "top/private/ drwx------",
		"top/private/a -rw-r--r-- 10000", "top/run -rwxr-xr-x #!/bin/sh\n", "top/sub/ drwxr-xr-x", "top/sub/deep/ drwxr-xr-x",
		"top/sub/deep/file -rw-r--r-- 5000", "ünï cödé ✓ -rw-r--r-- x",
	}
	for _, format := range unpack.Formats() {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			content, _ := makeArchive(t, format, ordinary())
			report, err := p.archive(t.Context(), format, content, unpack.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			p.unchanged()
			got := p.inside()
			for i, line := range got {
				if short, _, hashed := strings.Cut(line, " "+fmt.Sprintf("%x", sha256.Sum256([]byte(noise(5000))))[:9]); hashed {
					got[i] = short
				}
				if fields := strings.Fields(line); len(fields) == 4 && len(fields[3]) == 64 {
					got[i] = strings.Join(fields[:3], " ")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what was made (-want +got):\n%s", diff)
			}
			for _, i := range ordinary() {
				if i.kind == 0 && len(i.body) > 40 {
					if b, _ := p.root.ReadFile(i.name); string(b) != i.body {
						t.Errorf("%s has other content", i.name)
					}
				}
			}
			if report.Bytes != 1_280_000+10_000+5000+10+1 || report.Entries != 9 || report.Skipped != nil {
				t.Errorf("report %+v", report)
			}
			if strings.HasPrefix(format, "tar") || format == "zip" {
				p.haveTime(changed)
			}
		})
	}
}

func (p *place) haveTime(want time.Time) {
	p.t.Helper()
	for _, name := range []string{"top", "top/run", "top/large", "top/private", "top/private/a"} {
		info, err := p.root.Stat(name)
		if err != nil || !info.ModTime().Equal(want) {
			p.t.Errorf("%s: changed at %v, want %v (%v)", name, info.ModTime(), want, err)
		}
	}
}

func TestRar4(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if _, err := p.archive(t.Context(), "rar", makeRar4([]item{dir("d"), mode(text("d/a", "content"), 0o755)}), unpack.Limits{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"d/ drwxr-xr-x", "d/a -rwxr-xr-x content"}, p.inside()); diff != "" {
		t.Errorf("what was made (-want +got):\n%s", diff)
	}
}

// TestHardLinksInArchive makes second names of files whose content may still
// be on its way, also across directories and through links.
func TestHardLinksInArchive(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	content := makeTar(t, []item{
		text("a/large", noise(3<<20)), hardlink("b/large", "a/large"), text("a/small", "x"), hardlink("small", "./a/small"),
		symlink("s", "a"), hardlink("third", "s/small"), hardlink("fourth", "third"),
	})
	if _, err := p.archive(t.Context(), "tar", content, unpack.Limits{}); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{"a/large", "b/large"}, {"a/small", "small"}, {"a/small", "third"}, {"small", "fourth"}} {
		one, err1 := p.root.Stat(pair[0])
		two, err2 := p.root.Stat(pair[1])
		if err1 != nil || err2 != nil || !os.SameFile(one, two) || one.Size() == 0 {
			t.Errorf("%s and %s are not one file with content: %v, %v", pair[0], pair[1], err1, err2)
		}
	}
	p.unchanged()
}

// TestManyDirectories needs more open directories than are kept, also while
// one of them is in use.
func TestManyDirectories(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	items := []item{text("a/file", "x")}
	for _, top := range []string{"b", "c", "d"} {
		deep := repeat(top, 120)
		if err := p.root.MkdirAll(deep, 0o755); err != nil { // which Archive does not know
			t.Fatal(err)
		}
		items = append(items, symlink(deep+"/up", strings.Repeat("../", 120)))
	}
	items = append(items, text("z/link", "y"), hardlink("z/link", repeat("b", 120)+"/up/"+repeat("c", 120)+"/up/a/file"))
	if _, err := p.archive(t.Context(), "tar", makeTar(t, items), unpack.Limits{Depth: 500}); err != nil {
		t.Fatal(err)
	}
	if b, err := p.root.ReadFile("z/link"); err != nil || string(b) != "x" {
		t.Errorf("%q, error %v", b, err)
	}
	p.unchanged()
}

// TestLooseEnds unpacks what programs leave out or add at the end, and do not
// mind with others: a tar that was never closed, whose compression tells that
// it is whole, and zeros behind gzip.
func TestLooseEnds(t *testing.T) {
	t.Parallel()
	closed := makeTar(t, []item{text("a", "x"), text("b", "y")})
	open := closed[:len(closed)-1024]
	twice := append(pack(t, "gz", closed[:700]), pack(t, "gz", closed[700:])...)
	zeros := make([]byte, 1000)
	for name, c := range map[string]struct {
		format  string
		content []byte
		refused string
	}{
		"tar":                  {"tar", open, "the blocks that mark its end are missing"},
		"tar.gz":               {"tar.gz", pack(t, "gz", open), ""},
		"tar.zst":              {"tar.zst", pack(t, "zst", open), ""},
		"tar.sz":               {"tar.sz", pack(t, "sz", open), "the blocks that mark its end are missing"},
		"tar.gz cut":           {"tar.gz", pack(t, "gz", closed[:512]), "it is cut short"},
		"tar.gz of nothing":    {"tar.gz", pack(t, "gz", nil), "it is cut short"},
		"zeros":                {"tar.gz", append(pack(t, "gz", closed), zeros...), ""},
		"zeros after members":  {"tar.gz", append(bytes.Clone(twice), zeros...), ""},
		"members":              {"tar.gz", twice, ""},
		"member cut":           {"tar.gz", twice[:len(twice)-3], "it is cut short"},
		"header of member cut": {"tar.gz", append(pack(t, "gz", closed), 0x1f, 0x8b), "it is cut short"},
		"text":                 {"tar.gz", append(pack(t, "gz", closed), "text and more"...), "gzip: invalid header"},
		"text after zeros":     {"tar.gz", append(append(pack(t, "gz", closed), zeros...), "text"...), "4 bytes follow its end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			_, err := p.archive(t.Context(), c.format, c.content, unpack.Limits{})
			switch {
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("error %v, want %q", err, c.refused)
			case c.refused == "" && (err != nil || len(p.inside()) != 2):
				t.Errorf("made %q, error %v", p.inside(), err)
			}
		})
	}
}

// TestDirectoryWithContent is of formats whose libraries would decode it only
// to get beyond it.
func TestDirectoryWithContent(t *testing.T) {
	t.Parallel()
	items := []item{{name: "d", kind: tar.TypeDir, body: "content"}, text("d/a", "x")}
	for format, content := range map[string][]byte{"7z": make7z(items), "rar": makeRar5(items)} {
		p := newPlace(t)
		_, err := p.archive(t.Context(), format, content, unpack.Limits{})
		if found, ok := errors.AsType[*unpack.Error](err); !ok || !strings.Contains(err.Error(), "it is a directory, and has content") || found.Format != format {
			t.Errorf("%s: error %v", format, err)
		}
	}
}

// TestExistingFiles has things in the directory before, whose content must not
// be written to.
func TestExistingFiles(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	inside, beside := p.root.Name(), filepath.Join(p.around, "above/beside/secret")
	for _, err := range []error{
		os.Symlink(beside, filepath.Join(inside, "absolute")), os.Symlink("../beside/secret", filepath.Join(inside, "relative")),
		os.Symlink("../beside", filepath.Join(inside, "dir")), os.Symlink("/", filepath.Join(inside, "root")), os.Link(beside, filepath.Join(inside, "hard")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	content := makeTar(t, []item{text("absolute", "1"), text("relative", "2"), text("hard", "3")})
	if _, err := p.archive(t.Context(), "tar", content, unpack.Limits{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.archive(t.Context(), "tar", makeTar(t, []item{dir("d"), symlink("d/l", "../root/../x")}), unpack.Limits{}); err == nil || !strings.Contains(err.Error(), linkAbs) {
		t.Errorf("link through a link: error %v", err)
	}
	for _, name := range []string{"d", "root"} {
		if err := p.root.Remove(name); err != nil { // there is nothing in it
			t.Fatal(err)
		}
	}
	for _, name := range []string{"dir/secret", "dir/new", "dir/sub/new"} {
		_, err := p.archive(t.Context(), "tar", makeTar(t, []item{text(name, "x")}), unpack.Limits{})
		if err == nil || !strings.Contains(err.Error(), linkOut) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := p.root.Remove("dir"); err != nil {
		t.Fatal(err)
	}
	p.unchanged()
	want := []string{"absolute -rw-r--r-- 1", "hard -rw-r--r-- 3", "relative -rw-r--r-- 2"}
	if diff := cmp.Diff(want, p.inside()); diff != "" {
		t.Errorf("what was made (-want +got):\n%s", diff)
	}
}

// TestWrongFormat names another format than the archive has.
func TestWrongFormat(t *testing.T) {
	t.Parallel()
	for _, is := range unpack.Formats() {
		content, _ := makeArchive(t, is, []item{text("a", noise(2000))})
		for _, named := range unpack.Formats() {
			if named == is {
				continue
			}
			p := newPlace(t)
			_, err := p.archive(t.Context(), named, content, unpack.Limits{})
			if _, ok := errors.AsType[*unpack.Error](err); !ok {
				t.Errorf("%s unpacked as %s: error %v", is, named, err)
				continue
			}
			// Neither of these has anything to tell it by.
			if strings.HasSuffix(is, ".br") || strings.HasSuffix(is, ".zz") {
				continue
			}
			if want := "it looks like " + strings.TrimPrefix(is, "tar."); !strings.Contains(err.Error(), want) {
				t.Errorf("%s unpacked as %s: error %q, want one with %q", is, named, err, want)
			}
			if left := p.inside(); len(left) > 0 {
				t.Errorf("%s unpacked as %s: made %q", is, named, left)
			}
		}
	}
	p := newPlace(t)
	_, err := p.archive(t.Context(), "tar.gz", []byte("<!DOCTYPE html><title>404</title>"), unpack.Limits{})
	if err == nil || !strings.Contains(err.Error(), "it looks like a web page") {
		t.Errorf("a web page: error %v", err)
	}
}

// TestCutShort ends archives everywhere: what comes of it is an error, or all
// there was.
func TestCutShort(t *testing.T) {
	t.Parallel()
	items := []item{dir("d"), text("d/a", noise(3000)), text("d/b", strings.Repeat("text ", 500)), symlink("l", "d/a"), text("z", noise(900))}
	for _, format := range append(unpack.Formats(), "rar4") {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			content := makeRar4(items)
			if format == "rar4" {
				format = "rar"
			} else {
				content, _ = makeArchive(t, format, items)
			}
			whole := newPlace(t)
			if _, err := whole.archive(t.Context(), format, content, unpack.Limits{}); err != nil {
				t.Fatal(err)
			}
			want := whole.inside()
			step := max(1, len(content)/60)
			for n := 0; n < len(content); n += step {
				p := newPlace(t)
				_, err := p.archive(t.Context(), format, content[:n], unpack.Limits{})
				found, ok := errors.AsType[*unpack.Error](err)
				if err == nil && cmp.Equal(want, p.inside()) && n > len(content)-1024 {
					continue // marks of the end that nothing hangs on
				}
				if !ok || !unpack.Seekable(format) && found.Offset > int64(n) {
					t.Errorf("%d bytes of %d: error %v", n, len(content), err)
				}
				p.unchanged()
			}
		})
	}
}

// TestDamaged changes single bytes. Not all formats have checksums, but
// nothing may leave the directory, panic or be anybody else's fault.
func TestDamaged(t *testing.T) {
	t.Parallel()
	items := []item{dir("d"), text("d/a", noise(600)), text("d/b", strings.Repeat("text ", 100)), symlink("l", "d/a")}
	for _, format := range unpack.Formats() {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			content, _ := makeArchive(t, format, items)
			step := max(1, len(content)/80)
			for n := 0; n < len(content); n += step {
				damaged := slices.Clone(content)
				damaged[n] ^= byte(1 + n%255)
				p := newPlace(t)
				_, err := p.archive(t.Context(), format, damaged, unpack.Limits{Bytes: 1 << 20, Memory: 1 << 20})
				if _, ok := errors.AsType[*unpack.Error](err); err != nil && !ok {
					t.Errorf("byte %d: error %v", n, err)
				}
				p.unchanged()
			}
		})
	}
}

// TestReadingFails passes errors of the reader on, whatever decoders make of
// them.
func TestReadingFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, format := range unpack.Formats() {
		if unpack.Seekable(format) {
			continue
		}
		content, _ := makeArchive(t, format, ordinary())
		for _, n := range []int{0, 1, len(content) / 2, len(content) - 1, len(content)} {
			p := newPlace(t)
			from := io.MultiReader(bytes.NewReader(content[:n]), iotest.ErrReader(broken))
			_, err := unpack.Archive(t.Context(), format, from, p.root, unpack.Limits{})
			if !errors.Is(err, broken) {
				t.Errorf("%s after %d bytes: error %v", format, n, err)
			}
			if _, own := errors.AsType[*unpack.Error](err); own {
				t.Errorf("%s after %d bytes: the archive is blamed: %v", format, n, err)
			}
		}
	}
}

// TestReadsAll lets whoever hashes an archive see all of it, also what follows
// its end.
func TestReadsAll(t *testing.T) {
	t.Parallel()
	for _, format := range unpack.Formats() {
		if unpack.Seekable(format) {
			continue
		}
		content, _ := makeArchive(t, format, ordinary())
		if format == "tar" {
			content = append(content, make([]byte, 100_000)...)
		}
		p := newPlace(t)
		sum := sha256.New()
		from := iotest.HalfReader(io.TeeReader(bytes.NewReader(content), sum))
		if _, err := unpack.Archive(t.Context(), format, from, p.root, unpack.Limits{}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if !bytes.Equal(sum.Sum(nil), hash(content)) {
			t.Errorf("%s: not all of it was read", format)
		}
	}
}

func hash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// TestCanceled ends soon after its context, with the cause, while an archive
// without end is unpacked.
func TestCanceled(t *testing.T) {
	t.Parallel()
	stop := errors.New("the worker shuts down")
	for _, format := range []string{"tar", "tar.gz"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := newPlace(t)
		reader, writer := io.Pipe()
		canceled := make(chan time.Time, 1)
		go func() {
			var w io.WriteCloser = writer
			if format == "tar.gz" {
				w, _ = packer("gz", writer)
			}
			archive := tar.NewWriter(w)
			content := noise(1 << 20)
			for n := 0; ; n++ {
				if n == 8 {
					canceled <- time.Now()
					cancel(stop)
				}
				if archive.WriteHeader(&tar.Header{Name: "same", Typeflag: tar.TypeReg, Size: 1 << 20}) != nil {
					return
				}
				if _, err := io.WriteString(archive, content); err != nil {
					return
				}
			}
		}()
		context.AfterFunc(ctx, func() {
			// What Archive reads ends with the context, as it asks for.
			reader.CloseWithError(context.Cause(ctx))
		})
		_, err := unpack.Archive(ctx, format, reader, p.root, unpack.Limits{})
		if !errors.Is(err, stop) {
			t.Errorf("%s: error %v", format, err)
		}
		select {
		case at := <-canceled:
			if took := time.Since(at); took > time.Minute {
				t.Errorf("%s: took %v", format, took)
			}
		default: // has failed
		}
		cancel(nil)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	for _, format := range unpack.Formats() {
		p := newPlace(t)
		content, _ := makeArchive(t, format, ordinary())
		if _, err := p.archive(ctx, format, content, unpack.Limits{}); !errors.Is(err, stop) {
			t.Errorf("%s with an ended context: error %v", format, err)
		}
	}
}

func TestRefusesToBegin(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, c := range []struct {
		format string
		limits unpack.Limits
		want   string
	}{
		{"tar.Z", unpack.Limits{}, `cannot unpack format "tar.Z": it is none of 7z, rar, tar,`},
		{"", unpack.Limits{}, `cannot unpack format ""`},
		{"tar", unpack.Limits{Ratio: -1}, "cannot unpack within negative limits"},
		{"zip", unpack.Limits{}, "cannot unpack zip from a stream: it needs an *os.File"},
		{"7z", unpack.Limits{}, "cannot unpack 7z from a stream: it needs an *os.File"},
	} {
		_, err := unpack.Archive(t.Context(), c.format, strings.NewReader("x"), p.root, c.limits)
		if _, own := errors.AsType[*unpack.Error](err); own || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.format, err, c.want)
		}
	}
	if _, err := unpack.Decompress("tar", strings.NewReader("x"), unpack.Limits{}); err == nil {
		t.Error("tar is taken for a compression")
	}
	if _, err := unpack.Decompress("gz", strings.NewReader("x"), unpack.Limits{Bytes: -1}); err == nil {
		t.Error("negative limits are taken")
	}
}

// TestDecompress covers all compressions: whole, cut short, damaged, beyond a
// limit, empty, followed by something, and from a reader that breaks.
func TestDecompress(t *testing.T) {
	t.Parallel()
	plain := noise(200_000) + strings.Repeat("text ", 20_000)
	for _, format := range unpack.Compressions() {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			packed := pack(t, format, []byte(plain))
			read := func(from io.Reader, limits unpack.Limits) (string, error) {
				r, err := unpack.Decompress(format, from, limits)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				content, err := io.ReadAll(r)
				return string(content), err
			}
			if got, err := read(iotest.HalfReader(bytes.NewReader(packed)), unpack.Limits{}); err != nil || got != plain {
				t.Errorf("%d of %d bytes, error %v", len(got), len(plain), err)
			}
			if got, err := read(bytes.NewReader(pack(t, format, nil)), unpack.Limits{}); format != "sz" && format != "mz" && (err != nil || got != "") {
				t.Errorf("of nothing: %q, error %v", got, err)
			}
			own := func(what string, err error, parts ...string) {
				t.Helper()
				found, ok := errors.AsType[*unpack.Error](err)
				if !ok || found.Format != format {
					t.Errorf("%s: error %v", what, err)
				}
				for _, part := range parts {
					if !strings.Contains(fmt.Sprint(err), part) {
						t.Errorf("%s: error %v, want %q", what, err, part)
					}
				}
			}
			_, err := read(bytes.NewReader(packed), unpack.Limits{Bytes: int64(len(plain)) - 1})
			own("too long", err, "it unpacks to more than 299999 bytes")
			if _, err := read(bytes.NewReader(packed), unpack.Limits{Bytes: int64(len(plain))}); err != nil {
				t.Errorf("as long as may be: %v", err)
			}
			for n := 0; n < len(packed); n += len(packed) / 25 {
				got, err := read(bytes.NewReader(packed[:n]), unpack.Limits{})
				if format == "sz" && err == nil && n > 0 && strings.HasPrefix(plain, got) {
					continue // has no end: any number of chunks is a whole one
				}
				own(fmt.Sprintf("%d bytes of %d", n, len(packed)), err)
			}
			_, err = read(bytes.NewReader(append(slices.Clone(packed), "rubbish that follows"...)), unpack.Limits{})
			own("followed by something", err)
			broken := errors.New("connection reset")
			_, err = read(io.MultiReader(bytes.NewReader(packed[:5000]), iotest.ErrReader(broken)), unpack.Limits{})
			if !errors.Is(err, broken) {
				t.Errorf("broken: error %v", err)
			}
		})
	}
}

// TestDecompressMembers reads files that consist of several, as parallel
// compressors and appending make them.
func TestDecompressMembers(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"bz2", "gz", "lz", "lz4", "xz", "zst", "sz"} {
		packed := append(pack(t, format, []byte("one ")), pack(t, format, []byte("two"))...)
		r, err := unpack.Decompress(format, bytes.NewReader(packed), unpack.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); string(got) != "one two" || err != nil {
			t.Errorf("%s: %q, error %v", format, got, err)
		}
	}
}
