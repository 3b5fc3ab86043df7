package tree

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	maxLinks = 40      // symbolic links that one path may go through
	maxSteps = 1 << 20 // parts of paths that are looked at for all links together
)

// link is a symbolic link that goes down and up again, so that where it leads
// depends on other links.
type link struct{ name, dir, target string }

func (t *Tree) makeLink(place *os.Root, dir, base, to string) error {
	if err := checkTarget(dir, to); err != nil {
		return err
	}
	if to[0] != '/' && goesBack(to) {
		if err := t.remember(dir, base, to); err != nil {
			return err
		}
		t.links = append(t.links, link{path.Join(dir, base), dir, to})
	}
	return t.replace(place, base, func() error { return place.Symlink(to, base) })
}

// goesBack tells whether a link has a ".." after a name. Others lead upwards
// from a real directory, and then down through links that were looked at, too,
// or that say themselves that they lead into the system.
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
func (t *Tree) makeHardLink(dir, base, to string) error {
	name, err := clean(to, t.limits.Depth)
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
	place, lost := t.handle(dir) // not before: walking may have closed it
	switch {
	case lost != nil:
		return lost
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
	if there, err := place.Lstat(base); err == nil && os.SameFile(there, info) {
		return nil // removing it may remove the only name, where case does not count
	}
	new := path.Join(dir, base)
	return t.replace(place, base, func() error { return t.root.Link(old, new) })
}

// checkLink follows a link through all others. One that leads out is removed.
func (t *Tree) checkLink(l link) error {
	to, err := t.root.Readlink(l.name)
	if err != nil || to != l.target {
		return nil // another entry took its place
	}
	at, links := l.dir, 0
	rest := strings.Split(strings.ReplaceAll(to, `\`, "/"), "/")
	for ; len(rest) > 0; t.steps++ {
		part := rest[0]
		rest = rest[1:]
		switch {
		case part == ".." && at == ".":
			return t.removeLink(l, leadsOut(to))
		case part == "..":
			at = path.Dir(at)
			continue
		case t.steps >= maxSteps:
			return t.removeLink(l, refuse("its symbolic links are too long and too many to look at"))
		}
		next, err := t.root.Readlink(path.Join(at, part))
		if err != nil {
			at = path.Join(at, part) // is no link
			continue
		}
		if _, err := target(at, next); err != nil {
			return t.removeLink(l, err)
		}
		if links++; links > maxLinks {
			return t.removeLink(l, tooManyLinks())
		}
		rest = append(strings.Split(strings.ReplaceAll(next, `\`, "/"), "/"), rest...)
	}
	return nil
}

// removeLink removes a link that must not stay.
func (t *Tree) removeLink(l link, reason error) error {
	return first(t.root.Remove(l.name), &Error{Entry: l.name, Err: reason})
}

func tooManyLinks() error {
	return refuse("its path goes through more than %d symbolic links", maxLinks)
}
