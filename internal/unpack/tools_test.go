package unpack_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

// tool is a program that makes something of a format, and its Debian package.
type tool struct {
	format string
	debian string
	argv   []string // "OUT" is the file to make; without it, the output is
}

// need skips the test where a program is missing, or fails it where none may.
func (c tool) need(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath(c.argv[0]); err != nil {
		if os.Getenv("GW_REQUIRE_TOOLS") != "" {
			t.Fatalf("%s is required here: install %s", c.argv[0], c.debian)
		}
		t.Skipf("needs %s: install %s", c.argv[0], c.debian)
	}
}

func (c tool) run(t *testing.T, dir string, stdin io.Reader) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "made."+c.format)
	argv := slices.Clone(c.argv)
	for i, arg := range argv {
		argv[i] = strings.ReplaceAll(arg, "OUT", out)
	}
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = dir, stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v: %s%s", argv, err, stdout.Bytes(), stderr.Bytes())
	}
	if !slices.ContainsFunc(c.argv, func(arg string) bool { return strings.Contains(arg, "OUT") }) {
		return stdout.Bytes()
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// archivers make an archive of the directory they are started in.
var archivers = []tool{
	{"tar", "tar", []string{"tar", "-cf", "OUT", "."}},
	{"tar", "tar", []string{"tar", "--format=pax", "-cf", "OUT", "."}},
	{"tar", "tar", []string{"tar", "--format=v7", "-cf", "OUT", "top"}},
	{"tar.gz", "gzip", []string{"tar", "-I", "gzip", "-cf", "OUT", "."}},
	{"tar.bz2", "bzip2", []string{"tar", "-I", "bzip2", "-cf", "OUT", "."}},
	{"tar.xz", "xz-utils", []string{"tar", "-I", "xz", "-cf", "OUT", "."}},
	{"tar.xz", "xz-utils", []string{"tar", "-I", "xz -9 --check=sha256 -T2 --x86 --lzma2", "-cf", "OUT", "."}},
	{"tar.zst", "zstd", []string{"tar", "-I", "zstd", "-cf", "OUT", "."}},
	{"tar.zst", "zstd", []string{"tar", "-I", "zstd -19 --long=27", "-cf", "OUT", "."}},
	{"tar.lz4", "lz4", []string{"tar", "-I", "lz4", "-cf", "OUT", "."}},
	{"tar.lz", "lzip", []string{"tar", "-I", "lzip -9", "-cf", "OUT", "."}},
	{"tar.br", "brotli", []string{"tar", "-I", "brotli", "-cf", "OUT", "."}},
	{"zip", "zip", []string{"zip", "-qry", "OUT", "."}},
	{"7z", "p7zip-full", []string{"7z", "a", "-snl", "-bd", "OUT", "."}},
	{"7z", "p7zip-full", []string{"7z", "a", "-snl", "-bd", "-mx=9", "-m0=bcj", "-m1=lzma2", "OUT", "."}},
	{"7z", "p7zip-full", []string{"7z", "a", "-snl", "-bd", "-m0=bzip2", "-ms=off", "OUT", "."}},
	{"7z", "p7zip-full", []string{"7z", "a", "-snl", "-bd", "-m0=lzma", "-mhc=off", "OUT", "."}},
}

// TestToolsArchives unpacks what other programs make of a tree.
func TestToolsArchives(t *testing.T) {
	t.Parallel()
	original := newPlace(t)
	if _, err := original.archive(t.Context(), "tar", makeTar(t, ordinary()[:8]), unpack.Limits{}); err != nil {
		t.Fatal(err)
	}
	want := original.inside()
	for _, c := range archivers {
		t.Run(strings.Join(c.argv, " "), func(t *testing.T) {
			t.Parallel()
			c.need(t)
			p := newPlace(t)
			if _, err := p.archive(t.Context(), c.format, c.run(t, original.root.Name(), nil), unpack.Limits{}); err != nil {
				t.Fatal(err)
			}
			p.unchanged()
			if diff := cmp.Diff(want, p.inside()); diff != "" {
				t.Errorf("what was made (-want +got):\n%s", diff)
			}
			p.haveTime(changed)
		})
	}
}

// TestToolsCompress decodes what other programs make of a file. None in
// Debian writes mz and sz.
func TestToolsCompress(t *testing.T) {
	t.Parallel()
	plain := noise(100_000) + strings.Repeat("text ", 300_000)
	for _, c := range []tool{
		{"br", "brotli", []string{"brotli", "-c"}},
		{"bz2", "bzip2", []string{"bzip2", "-c"}},
		{"gz", "gzip", []string{"gzip", "-c"}},
		{"lz", "lzip", []string{"lzip", "-c", "--member-size=200k"}},
		{"lz4", "lz4", []string{"lz4", "-c", "-B4", "-BD"}},
		{"xz", "xz-utils", []string{"xz", "-c", "--block-size=100000"}},
		{"zst", "zstd", []string{"zstd", "-c", "--ultra", "-22"}},
		{"zz", "python3", []string{"python3", "-c", "import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))"}},
	} {
		t.Run(c.format, func(t *testing.T) {
			t.Parallel()
			c.need(t)
			packed := c.run(t, "", strings.NewReader(plain))
			r, err := unpack.Decompress(c.format, bytes.NewReader(packed), unpack.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || string(got) != plain {
				t.Errorf("%d of %d bytes, error %v", len(got), len(plain), err)
			}
		})
	}
}
