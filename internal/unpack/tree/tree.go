package tree

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

const maxHandles = 128 // directories that are kept open

// Tree makes entries below a directory. Every path is walked part by part, and
// each directory is a real one by the time something is made in it; os.Root
// makes sure that whatever happens to it meanwhile, nothing outside is
// touched. What is there already is removed and made anew, never written to,
// so that nothing is written through a link.
type Tree struct {
	root    *os.Root
	limits  Limits
	note    func(string)
	writers *writers
	memory  int64               // that names in the following take
	known   map[string]struct{} // directories that are no links, by path from the root
	handles []handle            // most recently used first
	dirs    map[string]dirAttributes
	links   []link // to be looked at when all is there
	steps   int    // done so
	seed    maphash.Seed
	folded  map[uint64]uint64 // hashes of names by those of their lower case; nil where case counts
}

type handle struct {
	path string
	dir  *os.Root
}

// dirAttributes are set last, since making entries changes the time and may be
// forbidden by the mode.
type dirAttributes struct {
	mode fs.FileMode
	time time.Time
}

// Limits are what a tree may need.
type Limits struct {
	Depth  int   // parts of one path
	Memory int64 // bytes of the names of directories and links that are remembered
}

// New returns a tree below root. It calls note with sentences on what is not
// as the archive has it. Finish must be called.
func New(root *os.Root, limits Limits, note func(string)) *Tree {
	t := &Tree{
		root: root, limits: limits, note: note,
		writers: startWriters(),
		known:   map[string]struct{}{".": {}},
		dirs:    map[string]dirAttributes{},
	}
	if foldsCase {
		t.seed, t.folded = maphash.MakeSeed(), map[uint64]uint64{}
	}
	return t
}

// Put makes an entry, with content from r if it has any. Errors are *Error,
// those of r, or those of the file system, also with entries put before.
func (t *Tree) Put(e Entry, r io.Reader) error {
	err := t.put(e, r)
	if isUnfit(err) {
		return refuse("this file system does not take it: %w", err)
	}
	return err
}

func (t *Tree) put(e Entry, r io.Reader) error {
	switch e.Kind {
	case Special:
		return refuse("it is %s, and only files, directories and links are unpacked", e.What)
	case Nothing:
		if e.What != "" {
			t.note(fmt.Sprintf("%s: is %s, which is not unpacked", printable(e.Name), e.What))
		}
		return nil
	}
	name, err := clean(e.Name, t.limits.Depth)
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
		return t.makeHardLink(dir, base, e.Link)
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

func (t *Tree) makeDirectory(name string, e Entry) error {
	if name == "." {
		return nil // is there, and belongs to the caller
	}
	parent, err := t.directory(path.Dir(name), true)
	if err != nil {
		return err
	}
	base := path.Base(name)
	full := path.Join(parent, base)
	t.noteFold(full, e.Name)
	if _, there := t.known[full]; !there {
		if err := t.realDirectory(parent, base); err != nil {
			return err
		}
		if err := t.know(full); err != nil {
			return err
		}
	}
	mode, less := e.permissions()
	if less {
		t.note(fmt.Sprintf("%s: its setuid, setgid or sticky bit is not kept", printable(e.Name)))
	}
	t.dirs[full] = dirAttributes{mode, e.Time}
	return nil
}

// know remembers a real directory.
func (t *Tree) know(full string) error {
	t.known[full] = struct{}{}
	return t.remember(full, full) // may be in dirs, too
}

// remember counts names that are kept in memory.
func (t *Tree) remember(names ...string) error {
	for _, name := range names {
		t.memory += 64 + int64(len(name))
	}
	if t.memory > t.limits.Memory {
		return refuse("the names of directories and links up to here take more than %d bytes of memory, which is the limit", t.limits.Memory)
	}
	return nil
}

// realDirectory makes a directory in a real one, in the place of a link if
// there is one.
func (t *Tree) realDirectory(parent, base string) error {
	place, err := t.handle(parent)
	if err != nil {
		return err
	}
	err = place.Mkdir(base, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := place.Lstat(base)
	if err != nil || info.IsDir() {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return refuse("a file of this name is there already")
	}
	if err := place.Remove(base); err != nil {
		return err
	}
	return place.Mkdir(base, 0o700)
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
		to, err := t.step(at, next, create)
		if err != nil {
			return "", err
		}
		if to == "" {
			at = next
			continue
		}
		links++
		if links > maxLinks {
			return "", tooManyLinks()
		}
		if _, err := target(at, to); err != nil {
			return "", err
		}
		rest = append(strings.Split(strings.ReplaceAll(to, `\`, "/"), "/"), rest...)
	}
	return at, nil
}

// step makes sure that a path in a real directory is a directory or a link,
// whose target it returns.
func (t *Tree) step(at, next string, create bool) (string, error) {
	place, err := t.handle(at)
	if err != nil {
		return "", err
	}
	base := path.Base(next)
	info, err := place.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		err = place.Mkdir(base, 0o755)
	case err != nil:
	case info.Mode()&fs.ModeSymlink != 0:
		return place.Readlink(base)
	case !info.IsDir():
		return "", refuse("%q is no directory, so nothing can be in it", shorten(next))
	}
	if err == nil {
		err = t.know(next)
	}
	return "", err
}

// handle returns an open directory, so that what is in it is made without
// walking the path to it each time. Those above it are kept open, too.
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
	above, err := t.handle(path.Dir(dir))
	if err != nil {
		return nil, err
	}
	opened, err := above.OpenRoot(path.Base(dir))
	if err != nil {
		return nil, err
	}
	if len(t.handles) == maxHandles {
		t.handles[maxHandles-1].dir.Close()
		t.handles = t.handles[:maxHandles-1]
	}
	t.handles = slices.Insert(t.handles, 0, handle{dir, opened})
	return opened, nil
}

// noteFold notes names that differ in nothing but case, of which only the
// last is kept.
func (t *Tree) noteFold(full, name string) {
	if t.folded == nil {
		return
	}
	key, exact := maphash.String(t.seed, strings.ToLower(full)), maphash.String(t.seed, full)
	if before, ok := t.folded[key]; ok && before != exact {
		t.note(fmt.Sprintf("%s: takes the place of another entry, whose name is the same on this system", printable(name)))
	}
	t.folded[key] = exact
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
	for name, d := range t.dirs {
		if err := t.root.Chmod(name, d.mode); err != nil {
			return err
		}
		if !settable(d.time) {
			continue
		}
		if err := t.root.Chtimes(name, time.Time{}, d.time); err != nil {
			return err
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
