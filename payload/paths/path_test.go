package paths

import (
	pathpkg "path"
	"strings"
	"testing"
)

// TestClean shows what paths become; a path that becomes nothing is refused.
func TestClean(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ path, posix, windows string }{
		{"a", "a", "a"},
		{"a//b/./c/../d/", "a/b/d", "a/b/d"},
		{"./a", "a", "a"},
		{".", ".", "."},
		{"a/..", ".", "."},
		{"..", "", ""},
		{"../a", "", ""},
		{"a/../../b", "", ""},
		{"..a/...", "..a/...", ""},
		{"/", "", ""},
		{"/srv/../a", "/a", ""},
		{"/../a", "/a", ""},
		{"//host/share", "/host/share", ""},
		{`\\host\share`, "", ""},
		{`\\?\C:\a`, "", ""},
		{`\a`, "", ""},
		{`a\b`, "", "a/b"},
		{`a\..\..\b`, "", ""},
		{"C:", "", ""},
		{"C:a", "C:a", ""},
		{"C:/a", "", "C:/a"},
		{`c:\a\..\..\b`, "", "c:/b"},
		{`C:\`, "", ""},
		{`C:\..`, "", ""},
		{"a:b", "a:b", ""},
		{"ab:c", "ab:c", ""},
		{"a?b", "a?b", ""},
		{"é 日本", "é 日本", "é 日本"},
		{"a.", "a.", ""},
		{"a /b", "a /b", ""},
		{"nul", "nul", ""},
		{"x/Aux.tar.gz", "x/Aux.tar.gz", ""},
		{"com¹", "com¹", ""},
		{"COM10", "COM10", "COM10"},
		{"com", "com", "com"},
		{"console", "console", "console"},
		{"a\tb", "", ""},
		{"a\x7f", "", ""},
		{strings.Repeat("a", 255), strings.Repeat("a", 255), strings.Repeat("a", 255)},
		{strings.Repeat("a", 256), "", ""},
	} {
		for windows, want := range map[bool]string{false: test.posix, true: test.windows} {
			got, fault := Clean(test.path, windows)
			if got != want || (fault == nil) != (want != "") {
				t.Errorf("%q, on Windows %v: got %q, %+v; want %q", test.path, windows, got, fault, want)
			}
		}
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path, dir      string
		posix, windows bool
	}{
		{"a", "a", true, true},
		{"a/b", "a", true, true},
		{"ab", "a", false, false},
		{"a", "a/b", false, false},
		{"A/b", "a", false, true},
		{"a", ".", true, true},
		{".", ".", true, true},
		{".", "a", false, false},
		{"/a", ".", false, false},
		{"/a/b", "/a", true, true},
		{"a", "/a", false, false},
	} {
		for windows, want := range map[bool]bool{false: test.posix, true: test.windows} {
			if got := Inside(test.path, test.dir, windows); got != want {
				t.Errorf("%q in %q, on Windows %v: %v", test.path, test.dir, windows, got)
			}
		}
	}
}

// FuzzClean looks for paths that lead out, or that mean something else when they
// are read again.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"a/b", "../a", "a/../..", "/a", `C:\..\a`, `\\?\x`, "C:../a", "a/./b//", "con", "a\x00", "...", ".. /a", "C:/../../a"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, path string, windows bool) {
		if path == "" {
			return
		}
		clean, fault := Clean(path, windows)
		if fault != nil {
			if fault.What == "" || fault.Remedy == "" || strings.ContainsAny(fault.What, "\n\r\x00") {
				t.Errorf("says %+v", fault)
			}
			return
		}
		if again, fault := Clean(clean, windows); again != clean || fault != nil {
			t.Errorf("%q becomes %q, and that %q, %+v", path, clean, again, fault)
		}
		below := clean
		if windows && hasDrive(clean) {
			below = clean[2:]
		}
		for part := range strings.SplitSeq(below, "/") {
			if part == ".." || windows && (strings.ContainsAny(part, `\:*?"<>|`) || part != "." && strings.HasSuffix(part, ".")) {
				t.Errorf("%q becomes %q", path, clean)
			}
		}
		if below != pathpkg.Clean(below) || strings.HasPrefix(below, "//") || windows && below == clean && below[0] == '/' {
			t.Errorf("%q becomes %q", path, clean)
		}
	})
}
