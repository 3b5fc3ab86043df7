package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

const (
	maxLinks   = 40 // symbolic links that one path may go through
	maxHandles = 8  // directories that are kept open
)

// Tree makes entries below a directory. Every path is walked part by part, and
// each directory is a real one by the time something is made in it; os.Root
// makes sure that whatever happens to it meanwhile, nothing outside is
// touched. What is there already is removed and made anew, never written to,
// so that nothing is written through a link.
type Tree struct {
	root    *os.Root
	depth   int
	note    func(string)
	writers *writers
	known   map[string]struct{} // directories that are no links, by path from the root
	handles []handle            // most recently used first
	dirs    []dirAttributes
	links   []link            // to be looked at when all is there
	folded  map[string]string // names as they were made by their lower case; nil where case counts
}

type handle struct {
	path string
	dir  *os.Root
}

// dirAttributes are set last, since making entries changes the time and may be
// forbidden by the mode.
type dirAttributes struct {
	path string
	mode fs.FileMode
	time time.Time
}

// link is a symbolic link that goes down and up again, so that where it leads
// depends on other links.
type link struct{ name, dir, target string }

// New returns a tree below root whose paths have at most depth parts. It calls
// note with sentences on what is not as the archive has it. Finish must be
// called.
func New(root *os.Root, depth int, note func(string)) *Tree {
	t := &Tree{
		root: root, depth: depth, note: note,
		writers: startWriters(),
		known:   map[string]struct{}{".": {}},
	}
	if foldsCase {
		t.folded = map[string]string{}
	}
	return t
}

// Put makes an entry, with content from r if it has any. Errors are *Error,
// those of r, or those of the file system, also with entries put before.
func (t *Tree) Put(e Entry, r io.Reader) error {
	switch e.Kind {
	case Special:
		return refuse("it is %s, and only files, directories and links are unpacked", e.What)
	case Nothing:
		if e.What != "" {
			t.note(fmt.Sprintf("%s: is %s, which is not unpacked", printable(e.Name), e.What))
		}
		return nil
	}
	name, err := clean(e.Name, t.depth)
	if err != nil {
		return err
	}
	if e.Kind == Directory {
		return t.makeDirectory(name, e)
	}
	if name == "." || strings.HasSuffix(e.Name, "/") || strings.HasSuffix(e.Name, "/.") {
		return refuse("it has the name of a directory, and is none")
	}
	dir, err := t.directory(path.Dir(name), true)
	if err != nil {
		return err
	}
	place, err := t.handle(dir)
	if err != nil {
		return err
	}
	base := path.Base(name)
	t.noteFold(path.Join(dir, base), e.Name)
	switch e.Kind {
	case Symlink:
		return t.makeLink(place, dir, base, e.Link)
	case Hardlink:
		return t.makeHardLink(place, dir, base, e.Link)
	default:
		return t.makeFile(place, base, e, r)
	}
}

func (t *Tree) makeFile(place *os.Root, base string, e Entry, r io.Reader) error {
	var f *os.File
	err := t.replace(place, base, func() (err error) {
		f, err = place.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	if _, less := e.permissions(); less {
		t.note(fmt.Sprintf("%s: its setuid, setgid or sticky bit is not kept", printable(e.Name)))
	}
	return t.writers.content(f, e, r)
}

// replace makes something at a name, after removing what is there.
func (t *Tree) replace(place *os.Root, base string, create func() error) error {
	err := create()
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := place.Lstat(base)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return refuse("a directory of this name is there already")
	}
	if err := t.writers.wait(); err != nil { // no system has to remove an open file
		return err
	}
	if err := place.Remove(base); err != nil {
		return err
	}
	return create()
}

func (t *Tree) makeLink(place *os.Root, dir, base, to string) error {
	if _, err := target(dir, to); err != nil {
		return err
	}
	if goesBack(to) {
		t.links = append(t.links, link{path.Join(dir, base), dir, to})
	}
	return t.replace(place, base, func() error { return place.Symlink(to, base) })
}

// goesBack tells whether a link has a ".." after a name. Others lead upwards
// from a real directory, and then down through links that were looked at, too.
func goesBack(to string) bool {
	down := false
	for part := range strings.FieldsFuncSeq(to, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." && down {
			return true
		}
		down = down || part != ".." && part != "."
	}
	return false
}

// makeHardLink makes a second name for a file of the tree. A second name of a
// symbolic link would lead elsewhere than the first, so it is made as a link
// of its own.
func (t *Tree) makeHardLink(place *os.Root, dir, base, to string) error {
	name, err := clean(to, t.depth)
	if err != nil {
		return refuse("it is a hard link to %q: %w", shorten(to), err)
	}
	from, err := t.directory(path.Dir(name), false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := path.Join(from, path.Base(name))
	var info fs.FileInfo
	if err == nil {
		info, err = t.root.Lstat(old)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse("it is a hard link to %q, which is not there; the archive must have that file before", shorten(to))
	case err != nil:
		return err
	case old == path.Join(dir, base):
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := t.root.Readlink(old)
		if err != nil {
			return err
		}
		return t.makeLink(place, dir, base, target)
	case !info.Mode().IsRegular():
		return refuse("it is a hard link to %q, which is no file", shorten(to))
	}
	new := path.Join(dir, base)
	return t.replace(place, base, func() error { return t.root.Link(old, new) })
}

func (t *Tree) makeDirectory(name string, e Entry) error {
	if name == "." {
		return nil // is there, and belongs to the caller
	}
	parent, err := t.directory(path.Dir(name), true)
	if err != nil {
		return err
	}
	full := path.Join(parent, path.Base(name))
	t.noteFold(full, e.Name)
	if _, there := t.known[full]; !there {
		if err := t.realDirectory(full); err != nil {
			return err
		}
		t.known[full] = struct{}{}
	}
	mode, less := e.permissions()
	if less {
		t.note(fmt.Sprintf("%s: its setuid, setgid or sticky bit is not kept", printable(e.Name)))
	}
	t.dirs = append(t.dirs, dirAttributes{full, mode, e.Time})
	return nil
}

// realDirectory makes a directory, in the place of a link if there is one.
func (t *Tree) realDirectory(full string) error {
	err := t.root.Mkdir(full, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := t.root.Lstat(full)
	if err != nil || info.IsDir() {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return refuse("a file of this name is there already")
	}
	if err := t.root.Remove(full); err != nil {
		return err
	}
	return t.root.Mkdir(full, 0o700)
}

// directory returns where the directory with a clean path really is: the path
// without links. Links of the archive are followed as long as they stay
// inside. What is missing is made, or the error is fs.ErrNotExist.
func (t *Tree) directory(name string, create bool) (string, error) {
	if _, ok := t.known[name]; ok {
		return name, nil
	}
	at, links := ".", 0
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == ".." {
			if at == "." {
				return "", leadsOut(name)
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		if _, ok := t.known[next]; ok {
			at = next
			continue
		}
		to, err := t.step(next, create)
		if err != nil {
			return "", err
		}
		if to == "" {
			at = next
			continue
		}
		links++
		if links > maxLinks {
			return "", refuse("its path goes through more than %d symbolic links", maxLinks)
		}
		if _, err := target(at, to); err != nil {
			return "", err
		}
		rest = append(strings.Split(strings.ReplaceAll(to, `\`, "/"), "/"), rest...)
	}
	return at, nil
}

// step makes sure that a path, all of whose parents are real directories, is a
// directory or a link, whose target it returns.
func (t *Tree) step(next string, create bool) (string, error) {
	info, err := t.root.Lstat(next)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		err = t.root.Mkdir(next, 0o755)
	case err != nil:
	case info.Mode()&fs.ModeSymlink != 0:
		return t.root.Readlink(next)
	case !info.IsDir():
		return "", refuse("%q is no directory, so nothing can be in it", shorten(next))
	}
	if err == nil {
		t.known[next] = struct{}{}
	}
	return "", err
}

// handle returns an open directory, so that files in it are opened without
// walking the path to it each time.
func (t *Tree) handle(dir string) (*os.Root, error) {
	if dir == "." {
		return t.root, nil
	}
	for i, h := range t.handles {
		if h.path == dir {
			copy(t.handles[1:i+1], t.handles[:i])
			t.handles[0] = h
			return h.dir, nil
		}
	}
	opened, err := t.root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if len(t.handles) == maxHandles {
		t.handles[maxHandles-1].dir.Close()
		t.handles = t.handles[:maxHandles-1]
	}
	t.handles = append([]handle{{dir, opened}}, t.handles...)
	return opened, nil
}

// noteFold notes names that differ in nothing but case, of which only the
// last is kept.
func (t *Tree) noteFold(full, name string) {
	if t.folded == nil {
		return
	}
	key := strings.ToLower(full)
	if before, ok := t.folded[key]; ok && before != full {
		t.note(fmt.Sprintf("%s: takes the place of %s, which is the same name on this system", printable(name), printable(before)))
	}
	t.folded[key] = full
}

// Finish waits until all content is written, looks at links once more and, if
// complete, sets what could not be set before.
func (t *Tree) Finish(complete bool) error {
	err := t.writers.end()
	for _, h := range t.handles {
		h.dir.Close()
	}
	for _, l := range t.links {
		err = first(err, t.checkLink(l))
	}
	if err != nil || !complete {
		return err
	}
	for _, d := range t.dirs {
		if err := t.root.Chmod(d.path, d.mode); err != nil {
			return err
		}
		if !settable(d.time) {
			continue
		}
		if err := t.root.Chtimes(d.path, time.Time{}, d.time); err != nil {
			return err
		}
	}
	return nil
}

// checkLink follows a link through all others. One that leads out is removed.
func (t *Tree) checkLink(l link) error {
	to, err := t.root.Readlink(l.name)
	if err != nil || to != l.target {
		return nil // another entry took its place
	}
	at, links := l.dir, 0
	rest := strings.Split(strings.ReplaceAll(to, `\`, "/"), "/")
	for len(rest) > 0 && links <= maxLinks {
		part := rest[0]
		rest = rest[1:]
		if part == ".." {
			if at == "." {
				return first(t.root.Remove(l.name), &Error{Entry: l.name, Err: leadsOut(to)})
			}
			at = path.Dir(at)
			continue
		}
		at = path.Join(at, part)
		if target, err := t.root.Readlink(at); err == nil {
			links++
			at = path.Dir(at)
			rest = append(strings.Split(strings.ReplaceAll(target, `\`, "/"), "/"), rest...)
		}
	}
	return nil
}

// first returns the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
