package tree

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind is what an entry is.
type Kind int

// The kinds of entries.
const (
	File Kind = iota
	Directory
	Symlink
	Hardlink
	Special // a device, a named pipe or a socket: refused
	Nothing // something about the archive: left out
)

// Entry is one entry of an archive, as the archive has it.
type Entry struct {
	Name string
	Kind Kind
	Mode fs.FileMode // permissions, setuid, setgid and sticky
	Time time.Time   // of the last change; zero if unknown
	Size int64       // of the content; -1 if unknown
	Link string      // where a link leads
	What string      // of Special and Nothing: what it is; "" is not worth a note
}

// Error is an entry that is not made because of what the archive says. Entry
// is its name where it is another than that last put.
type Error struct {
	Entry string
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func refuse(format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...)}
}

const (
	maxName = 255  // bytes of one part of a path: what file systems take
	maxPath = 4096 // bytes of a path or of the target of a link
)

// clean returns a name without "./" and doubled slashes, "." for the
// directory itself. It refuses names that lead anywhere else, on any system:
// an archive that is refused on one of them is refused on all.
func clean(name string, depth int) (string, error) {
	switch {
	case name == "":
		return "", refuse("its name is empty")
	case len(name) > maxPath:
		return "", refuse("its name has %d bytes, and the limit is %d", len(name), maxPath)
	case strings.ContainsRune(name, 0):
		return "", refuse("its name has a NUL character")
	case isAbsolute(name):
		return "", refuse("its name is absolute; make the archive with relative names")
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return "", refuse(`its name has a ".." and could lead out of the directory; make the archive without such names`)
		}
	}
	cleaned := path.Clean(name)
	parts := strings.Split(cleaned, "/")
	if len(parts) > depth {
		return "", refuse("it is %d directories deep, and the limit is %d", len(parts), depth)
	}
	for _, part := range parts {
		if len(part) > maxName {
			return "", refuse("a part of its name has %d bytes, and file systems take no more than %d", len(part), maxName)
		}
		if reason := unusable(part); reason != "" && cleaned != "." {
			return "", refuse("its name cannot be a file on this system: %s", reason)
		}
	}
	return cleaned, nil
}

// isAbsolute tells whether a path begins at a root or a drive of any system.
func isAbsolute(name string) bool {
	if name[0] == '/' || name[0] == '\\' {
		return true
	}
	letter := name[0] | 0x20
	return len(name) >= 3 && letter >= 'a' && letter <= 'z' && name[1] == ':' && (name[2] == '/' || name[2] == '\\')
}

// checkTarget checks where a new symbolic link in a directory says it leads, as
// text. A link may lead to a path of the system, as that of a virtual
// environment to its interpreter: nothing is ever made through it.
func checkTarget(dir, link string) error {
	switch {
	case link == "":
		return refuse("it is a symbolic link to nothing")
	case len(link) > maxPath:
		return refuse("it is a symbolic link with a target of %d bytes, and the limit is %d", len(link), maxPath)
	case strings.ContainsRune(link, 0):
		return refuse("it is a symbolic link with a NUL character in its target")
	case link[0] == '/' && !unusableLink(link):
		return nil
	case isAbsolute(link), unusableLink(link):
		return refuse("it is a symbolic link to %q, which is absolute, and this system has no such path; make the archive with relative links", shorten(link))
	}
	_, err := target(dir, link)
	return err
}

// target returns the path from the top where a symbolic link in a directory
// leads, as text.
func target(dir, link string) (string, error) {
	if link == "" || isAbsolute(link) || unusableLink(link) {
		return "", refuse("it leads through a symbolic link to %q, which is absolute, and nothing is made or linked through such a link", shorten(link))
	}
	found := path.Join(dir, strings.ReplaceAll(link, `\`, "/"))
	if found == ".." || strings.HasPrefix(found, "../") {
		return "", leadsOut(link)
	}
	return found, nil
}

func leadsOut(link string) error {
	return refuse("it is a symbolic link to %q, which leads out of the directory; only links within it are made", shorten(link))
}

// permissions returns what of a mode is kept, and whether something was left
// out: bits that give rights, which nobody wants from a stranger. What the
// owner needs to read it and to remove it later is always there.
func (e Entry) permissions() (mode fs.FileMode, less bool) {
	mode = e.Mode.Perm()
	if e.Kind == Directory {
		return mode | 0o700, e.Mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0
	}
	return mode | 0o400, e.Mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0
}

// shorten keeps a name from filling a log.
func shorten(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return name[:most] + "..."
}

// printable returns a name as it can stand in a line.
func printable(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Sprintf("%q", shorten(name))
	}
	return shorten(name)
}
