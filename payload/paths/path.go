package paths

import (
	"fmt"
	pathpkg "path"
	"strings"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/internal/document"
)

// maxPart is how many bytes one name in a path has at most, as in most file systems.
const maxPart = 255

// Fault is what is wrong with a path or a pattern.
type Fault struct {
	What   string // the rest of a sentence about it
	Remedy string // what to write instead
}

// Inside tells whether a clean path is that of a directory, or leads into it.
func Inside(path, dir string, windows bool) bool {
	if windows { // file systems of Windows do not know case
		path, dir = strings.ToLower(path), strings.ToLower(dir)
	}
	if path == dir {
		return true
	}
	if dir == "." {
		return !absolute(path)
	}
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// absolute tells whether a clean path begins at a root.
func absolute(path string) bool { return path[0] == '/' || hasDrive(path) }

func hasDrive(path string) bool { return len(path) > 1 && path[1] == ':' && letter(path[0]) }

// Clean returns a path of a mount with slashes and without detours, or what is
// wrong with it. Like the official worker it takes absolute paths.
func Clean(path string, windows bool) (string, *Fault) {
	const ordinary = "write a path inside the task directory, such as tools/bin"
	for _, r := range path {
		if r < ' ' || r == 0x7f {
			return "", &Fault{What: fmt.Sprintf("has %+q in it", r), Remedy: "remove the character"}
		}
	}
	what := ""
	if windows {
		path = strings.ReplaceAll(path, `\`, "/")
		what = windowsFault(path)
	} else {
		what = posixFault(path)
	}
	if what != "" {
		return "", &Fault{What: what, Remedy: ordinary}
	}
	drive := ""
	if windows && hasDrive(path) {
		drive, path = path[:len("C:")], path[len("C:"):]
	}
	clean := pathpkg.Clean(path)
	switch {
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", &Fault{What: "leads out of the task directory", Remedy: ordinary}
	case clean == "/":
		return "", &Fault{What: "is the root of a file system", Remedy: ordinary}
	}
	for part := range strings.SplitSeq(clean, "/") {
		if len(part) > maxPart {
			return "", &Fault{What: fmt.Sprintf("has a part of more than %d bytes", maxPart), Remedy: "write shorter names"}
		}
	}
	return drive + clean, nil
}

// posixFault finds paths of Windows, which would be names of odd files here.
func posixFault(path string) string {
	switch {
	case hasDrive(path) && (len(path) == 2 || path[2] == '/' || path[2] == '\\'):
		return "begins with a drive of Windows"
	case strings.Contains(path, `\`):
		return `has \ in it, which is no separator here`
	}
	return ""
}

// windowsFault finds what Windows reads as something else than a file below the
// task directory or a drive. The path has slashes.
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file
func windowsFault(path string) string {
	switch {
	case strings.HasPrefix(path, "//"):
		return "is a path of another machine or of a device"
	case path[0] == '/':
		return "begins at the root of whatever drive is the current one"
	case hasDrive(path) && (len(path) == 2 || path[2] != '/'):
		return "is relative to the current directory of a drive"
	case hasDrive(path):
		path = path[len("C:"):]
	}
	for part := range strings.SplitSeq(path, "/") {
		name, _, _ := strings.Cut(strings.ToUpper(part), ".")
		switch i := strings.IndexAny(part, `<>:"|?*`); {
		case i >= 0:
			return fmt.Sprintf("has %q in it, which no name on Windows can have", part[i])
		case part == "" || part == "." || part == "..":
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return "has a part that ends in a dot or a space, which Windows drops"
		case device(strings.TrimRight(name, " ")):
			return "has the part " + document.Quote(part) + ", which is a device on Windows"
		}
	}
	return ""
}

func device(name string) bool {
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if !strings.HasPrefix(name, "COM") && !strings.HasPrefix(name, "LPT") {
		return false
	}
	number := name[len("COM"):]
	return utf8.RuneCountInString(number) == 1 && strings.Contains("0123456789¹²³", number)
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
