package unpack_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

// hostile is an archive that is out to harm, or looks like it.
type hostile struct {
	name    string
	items   []item
	refused string   // part of the error's text; "" where it is unpacked
	made    []string // what is there then
}

func dir(name string) item        { return item{name: name, kind: tar.TypeDir} }
func text(name, body string) item { return item{name: name, body: body} }
func symlink(name, to string) item {
	return item{name: name, kind: tar.TypeSymlink, link: to, mode: 0o777}
}
func hardlink(name, to string) item    { return item{name: name, kind: tar.TypeLink, link: to} }
func other(name string, k byte) item   { return item{name: name, kind: k} }
func mode(i item, mode int64) item     { i.mode = mode; return i }
func repeat(part string, n int) string { return strings.TrimSuffix(strings.Repeat(part+"/", n), "/") }

const (
	dots     = `its name has a ".."`
	absolute = "its name is absolute"
	linkAbs  = "which is absolute, and "
	linkOut  = "leads out of the directory"
)

// chain is a directory and n links, each to the one before.
func chain(n int) []item {
	items := []item{dir("0")}
	for i := range n {
		items = append(items, symlink(fmt.Sprint(i+1), fmt.Sprint(i)))
	}
	return items
}

// corpus is made in each of the formats that can express it.
var corpus = []hostile{
	// Names.
	{name: "up", items: []item{text("../secret", "x")}, refused: dots},
	{name: "up twice", items: []item{text("../../secret", "x")}, refused: dots},
	{name: "up far", items: []item{text(repeat("..", 30)+"/etc/passwd", "x")}, refused: dots},
	{name: "down and up", items: []item{text("a/../../secret", "x")}, refused: dots},
	{name: "down and up inside", items: []item{text("a/../b", "x")}, refused: dots},
	{name: "up at the end", items: []item{dir("a/..")}, refused: dots},
	{name: "up directory", items: []item{dir("../beside")}, refused: dots},
	{name: "only up", items: []item{dir("..")}, refused: dots},
	{name: "dots before up", items: []item{text("./../secret", "x")}, refused: dots},
	{name: "absolute file", items: []item{text("/etc/passwd", "x")}, refused: absolute},
	{name: "absolute directory", items: []item{dir("/etc")}, refused: absolute},
	{name: "doubled absolute", items: []item{text("//etc/passwd", "x")}, refused: absolute},
	{name: "drive", items: []item{text("C:/Windows/x", "x")}, refused: absolute},
	{name: "drive with backslash", items: []item{text(`c:\Windows\x`, "x")}, refused: absolute},
	{name: "UNC", items: []item{text(`\\server\share\x`, "x")}, refused: absolute},
	{name: "device path", items: []item{text(`\\?\C:\x`, "x")}, refused: absolute},
	{name: "backslash root", items: []item{text(`\x`, "x")}, refused: absolute},
	{name: "backslash up", items: []item{text(`..\secret`, "x")}, refused: dots},
	{name: "backslash down and up", items: []item{text(`a\..\..\secret`, "x")}, refused: dots},
	{name: "mixed slashes up", items: []item{text(`a/..\..\secret`, "x")}, refused: dots},
	{name: "backslash in a name", items: []item{text(`a\b`, "x")}, made: []string{`a\b -rw-r--r-- x`}},
	{name: "three dots", items: []item{text("...", "x"), text("..a", "y")}, made: []string{"... -rw-r--r-- x", "..a -rw-r--r-- y"}},
	{name: "NUL", items: []item{text("a\x00b", "x")}, refused: "its name has a NUL character"},
	{name: "no name", items: []item{text("", "x")}, refused: "its name is empty"},
	{name: "dot as file", items: []item{text(".", "x")}, refused: "it has the name of a directory, and is none"},
	{name: "slash dot as file", items: []item{text("a/.", "x")}, refused: "it has the name of a directory, and is none"},
	{name: "dot as link", items: []item{symlink("./", "a")}, refused: "it has the name of a directory, and is none"},
	{name: "dot as directory", items: []item{dir("./"), text("./a", "x")}, made: []string{"a -rw-r--r-- x"}},
	{name: "spare slashes", items: []item{text("a//b///c", "x")}, made: []string{"a/ drwxr-xr-x", "a/b/ drwxr-xr-x", "a/b/c -rw-r--r-- x"}},
	{name: "long part", items: []item{text(strings.Repeat("n", 256), "x")}, refused: "a part of its name has 256 bytes"},
	{name: "long path", items: []item{text(repeat(strings.Repeat("n", 200), 21), "x")}, refused: "and the limit is 4096"},
	{name: "deep path", items: []item{text(repeat("d", 129), "x")}, refused: "it is 129 directories deep, and the limit is 128"},
	{name: "control characters", items: []item{text("a\nb\x1b[31m", "x")}, made: []string{"a\nb\x1b[31m -rw-r--r-- x"}},

	// Symbolic links.
	{name: "link up", items: []item{symlink("l", "..")}, refused: linkOut},
	{name: "link to a file above", items: []item{symlink("l", "../secret")}, refused: linkOut},
	{name: "link far up", items: []item{symlink("a/b/l", "../../../beside/secret")}, refused: linkOut},
	{name: "link absolute", items: []item{symlink("bin/l", "/usr/../etc/passwd")}, made: []string{"bin/ drwxr-xr-x", "bin/l -> /usr/../etc/passwd"}},
	{name: "through a link absolute", items: []item{symlink("l", "/tmp"), text("l/x", "x")}, refused: linkAbs},
	{name: "directory over a link absolute", items: []item{symlink("l", "/tmp"), dir("l"), text("l/x", "x")}, made: []string{"l/ drwxr-xr-x", "l/x -rw-r--r-- x"}},
	{name: "file over a link absolute", items: []item{symlink("l", "/etc/passwd"), text("l", "x")}, made: []string{"l -rw-r--r-- x"}},
	{name: "hard link to a link absolute", items: []item{symlink("l", "/etc/passwd"), hardlink("m", "l")}, made: []string{"l -> /etc/passwd", "m -> /etc/passwd"}},
	{name: "hard link through a link absolute", items: []item{symlink("l", "/etc"), hardlink("m", "l/passwd")}, refused: linkAbs},
	{name: "link back through a link absolute", items: []item{symlink("l", "/etc"), symlink("m", "l/../root")}, refused: linkAbs},
	{name: "link to a drive", items: []item{symlink("l", "C:/Windows")}, refused: linkAbs},
	{name: "link to a share", items: []item{symlink("l", `\\server\share`)}, refused: linkAbs},
	{name: "link with backslashes", items: []item{symlink("l", `..\secret`)}, refused: linkOut},
	{name: "link inside", items: []item{text("a/x", "x"), symlink("l", "a"), symlink("a/y", "x"), symlink("a/up", "..")}, made: []string{
		"a/ drwxr-xr-x", "a/up -> ..", "a/x -rw-r--r-- x", "a/y -> x", "l -> a",
	}},
	{name: "link to itself", items: []item{symlink("l", "l")}, made: []string{"l -> l"}},
	{name: "through a link to itself", items: []item{symlink("l", "l"), text("l/x", "x")}, refused: "more than 40 symbolic links"},
	{name: "links in a ring", items: []item{symlink("a", "b"), symlink("b", "a"), text("a/x", "x")}, refused: "more than 40 symbolic links"},
	{name: "through a link inside", items: []item{dir("a/b"), symlink("l", "a/b"), text("l/x", "x")}, made: []string{
		"a/ drwxr-xr-x", "a/b/ drwxr-xr-x", "a/b/x -rw-r--r-- x", "l -> a/b",
	}},
	{name: "through a link to nothing yet", items: []item{symlink("l", "a"), text("l/x", "x")}, made: []string{
		"a/ drwxr-xr-x", "a/x -rw-r--r-- x", "l -> a",
	}},
	{name: "through a link out", items: []item{symlink("l", "../beside"), text("l/secret", "x")}, refused: linkOut},
	{name: "file over a link", items: []item{text("a", "kept"), symlink("l", "a"), text("l", "x")}, made: []string{"a -rw-r--r-- kept", "l -rw-r--r-- x"}},
	{name: "directory over a link", items: []item{dir("a"), symlink("l", "a"), dir("l"), text("l/x", "x")}, made: []string{
		"a/ drwxr-xr-x", "l/ drwxr-xr-x", "l/x -rw-r--r-- x",
	}},
	{name: "link over a file", items: []item{text("a", "x"), text("l", "y"), symlink("l", "a")}, made: []string{"a -rw-r--r-- x", "l -> a"}},
	{name: "link over a directory", items: []item{text("a/x", "x"), symlink("a", "b")}, refused: "a directory of this name is there already"},
	{name: "link changed after use", items: []item{
		dir("a"), symlink("l", "a"), text("l/x", "1"), symlink("l", "../beside"), text("l/secret", "2"),
	}, refused: linkOut},
	{name: "chain that climbs", items: []item{
		dir("a/b/c"), symlink("a/b/c/up", "../../.."), symlink("l", "a/b/c/up/../secret"),
	}, refused: linkOut},
	{name: "chain that climbs later", items: []item{
		symlink("l", "a/b/c/up/../secret"), dir("a/b/c"), symlink("a/b/c/up", "../../.."),
	}, refused: linkOut},
	{name: "write through a chain that climbs", items: []item{
		dir("a/b/c"), symlink("a/b/c/up", "../../.."), symlink("l", "a/b/c/up/../beside"), text("l/secret", "x"),
	}, refused: linkOut},
	{name: "link in a linked directory", items: []item{
		dir("a/b/c"), symlink("here", "."), symlink("a/b/c/top", "../../../here"), symlink("a/b/c/top/l", "../secret"),
	}, refused: linkOut},
	{name: "longest target", items: []item{symlink("l", repeat("t", 2048)+"t")}, refused: "this file system does not take it"},
	{name: "chain of many", items: append(chain(41), symlink("l", "41/../b")), refused: "more than 40 symbolic links"},
	{name: "long target", items: []item{symlink("l", repeat("t", 2100))}, refused: "and the limit is 4096"},

	// Hard links.
	{name: "hard link up", items: []item{hardlink("l", "../secret")}, refused: dots},
	{name: "hard link absolute", items: []item{hardlink("l", "/etc/passwd")}, refused: absolute},
	{name: "hard link to nothing", items: []item{hardlink("l", "a")}, refused: "which is not there"},
	{name: "hard link in nothing", items: []item{hardlink("l", "a/b/c")}, refused: "which is not there"},
	{name: "hard link to a directory", items: []item{dir("a"), hardlink("l", "a")}, refused: "which is no file"},
	{name: "hard link twice", items: []item{text("a", "x"), hardlink("l", "a"), hardlink("l", "a")}, made: []string{"a -rw-r--r-- x", "l -rw-r--r-- x"}},
	{name: "hard link to itself", items: []item{text("a", "x"), hardlink("a", "a")}, made: []string{"a -rw-r--r-- x"}},
	{name: "hard link to a link", items: []item{dir("a"), symlink("a/l", "../b"), hardlink("m", "a/l")}, refused: linkOut},
	{name: "hard link to a link inside", items: []item{text("b", "x"), symlink("l", "b"), hardlink("m", "l")}, made: []string{
		"b -rw-r--r-- x", "l -> b", "m -> b",
	}},
	{name: "write over a hard link", items: []item{text("a", "kept"), hardlink("l", "a"), text("l", "x")}, made: []string{
		"a -rw-r--r-- kept", "l -rw-r--r-- x",
	}},

	// What is no file.
	{name: "named pipe", items: []item{other("p", tar.TypeFifo)}, refused: "only files, directories and links are unpacked"},
	{name: "character device", items: []item{other("d", tar.TypeChar)}, refused: "only files, directories and links are unpacked"},
	{name: "block device", items: []item{other("d", tar.TypeBlock)}, refused: "only files, directories and links are unpacked"},
	{name: "unknown type", items: []item{other("z", 'Z'), text("a", "x")}, made: []string{"a -rw-r--r-- x"}},
	{name: "global header", items: []item{other("g", tar.TypeXGlobalHeader), text("a", "x")}, made: []string{"a -rw-r--r-- x"}},

	// Modes.
	{name: "setuid", items: []item{mode(text("a", "x"), 0o4755)}, made: []string{"a -rwxr-xr-x x"}},
	{name: "setgid and sticky", items: []item{mode(text("a", "x"), 0o3700), mode(dir("d"), 0o3777)}, made: []string{"a -rwx------ x", "d/ drwxrwxrwx"}},
	{name: "nothing allowed", items: []item{mode(dir("d"), 0o1), mode(text("d/a", "x"), 0o2)}, made: []string{"d/ drwx-----x", "d/a -r------w- x"}},
	{name: "read only", items: []item{mode(dir("d"), 0o555), mode(text("d/a", "x"), 0o444)}, made: []string{"d/ drwxr-xr-x", "d/a -r--r--r-- x"}},

	// The same name again.
	{name: "twice", items: []item{text("a", "1"), text("a", "2")}, made: []string{"a -rw-r--r-- 2"}},
	{name: "file over a directory", items: []item{dir("a"), text("a", "x")}, refused: "a directory of this name is there already"},
	{name: "directory over a file", items: []item{text("a", "x"), dir("a")}, refused: "a file of this name is there already"},
	{name: "below a file", items: []item{text("a", "x"), text("a/b", "y")}, refused: "is no directory, so nothing can be in it"},
	{name: "case", items: []item{text("A", "1"), text("a", "2")}, made: []string{"A -rw-r--r-- 1", "a -rw-r--r-- 2"}},
	{name: "directory twice", items: []item{mode(dir("a"), 0o700), text("a/x", "x"), mode(dir("a"), 0o755)}, made: []string{"a/ drwxr-xr-x", "a/x -rw-r--r-- x"}},
	{name: "nothing", items: nil, made: []string{}},
}

// TestHostileArchives unpacks all of the corpus in all formats: nothing outside
// of the directory changes, and the error says what is wrong.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	if len(corpus) < 60 {
		t.Errorf("%d archives; there were 60", len(corpus))
	}
	for _, format := range unpack.Formats() {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			made := 0
			for _, c := range corpus {
				content, ok := makeArchive(t, format, c.items)
				if !ok {
					continue
				}
				made++
				t.Run(c.name, func(t *testing.T) { c.run(t, format, content) })
			}
			if made < 60 {
				t.Errorf("only %d of the archives can be made in this format", made)
			}
		})
	}
}

func (c hostile) run(t *testing.T, format string, content []byte) {
	p := newPlace(t)
	report, err := p.archive(t.Context(), format, content, unpack.Limits{})
	p.unchanged()
	if c.refused == "" {
		if err != nil {
			t.Fatalf("error: %v", err)
		}
		if diff := cmp.Diff(c.made, p.inside()); diff != "" {
			t.Errorf("what was made (-want +got):\n%s", diff)
		}
		if report.Entries != int64(len(c.items)) {
			t.Errorf("%d entries, want %d", report.Entries, len(c.items))
		}
		return
	}
	found, ok := errors.AsType[*unpack.Error](err)
	switch {
	case !ok:
		t.Fatalf("error %v, want an *unpack.Error about %q", err, c.refused)
	case !strings.Contains(err.Error(), c.refused):
		t.Errorf("error %q, want one with %q", err, c.refused)
	case found.Format != format, len(c.items) > 0 && found.Offset == 0:
		t.Errorf("error with format %q and offset %d", found.Format, found.Offset)
	}
	named := func(i item) bool { return i.name == found.Entry || i.name+"/" == found.Entry }
	if len(c.items) > 0 && !slices.ContainsFunc(c.items, named) {
		t.Errorf("error %q is about entry %q", err, found.Entry)
	}
}
