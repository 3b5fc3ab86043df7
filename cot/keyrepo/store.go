package keyrepo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Store is a folder with the version of a key repository that is in use: one
// folder for each version, with the layout of a repository, and a file named
// current that names one of them. Several processes may use it at once.
type Store struct {
	Dir string
	// before is called before each step of an update; tests end it there.
	before func(step string) error
}

const (
	currentName  = "current"
	manifestName = "release.json"
	unfinished   = ".unfinished-"
	largestNote  = 64 << 10
)

// manifest is what a folder of a version says about itself.
type manifest struct {
	Version int         `json:"version"`
	Release Release     `json:"release"`
	Layout  []directory `json:"layout"`
}

type directory struct {
	Implementation string `json:"implementation"`
	Signed         bool   `json:"signed"`
}

// Current returns the version in use: the last one that Update was given. The
// error is ErrNone if there is none, or ErrExposed where others could have
// changed it.
func (s Store) Current(ctx context.Context) (*Set, error) {
	set, _, err := s.current(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the keys in %s: %w", s.Dir, err)
	}
	return set, nil
}

// current also returns the name of the version's folder.
func (s Store) current(ctx context.Context) (set *Set, name string, err error) {
	for {
		before := name
		name, err = s.pointed()
		if err != nil {
			return nil, "", err
		}
		set, err = load(ctx, filepath.Join(s.Dir, name))
		// Two updates in a row remove a version while it is read; then another
		// one is current.
		if !errors.Is(err, fs.ErrNotExist) || name == before {
			return set, name, err
		}
	}
}

func (s Store) pointed() (string, error) {
	info, err := os.Lstat(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNone
	}
	if err == nil {
		err = sound(s.Dir, info)
	}
	if err != nil {
		return "", err
	}
	text, err := readFile(filepath.Join(s.Dir, currentName), largestNote)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNone
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSuffix(string(text), "\n")
	if !isVersion(name) {
		return "", fmt.Errorf("%s does not name a version; update the keys", filepath.Join(s.Dir, currentName))
	}
	return name, nil
}

func load(ctx context.Context, dir string) (*Set, error) {
	text, err := readFile(filepath.Join(dir, manifestName), largestNote)
	if err != nil {
		return nil, err
	}
	var m manifest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.Version != 1 {
		return nil, fmt.Errorf("%s is not of a form that is known here; update the keys", filepath.Join(dir, manifestName))
	}
	layout := Layout{}
	for _, d := range m.Layout {
		layout = append(layout, Directory{Implementation: d.Implementation, Signed: d.Signed})
	}
	groups, err := readFiles(ctx, dir, layout, true)
	if err != nil {
		return nil, err
	}
	return &Set{Release: m.Release, groups: groups}, nil
}

// Update makes a set that Read returned the version in use, at once for
// everybody, or changes nothing: also if the process is killed. It tells whether
// that was a change. The version before is kept.
//
// The error is ErrRollback, unless forced, for a version that is not newer than
// the one in use by the dates of their tags, and ErrBusy while another process
// updates the store.
func (s Store) Update(ctx context.Context, set *Set, force bool) (changed bool, err error) {
	changed, err = s.update(ctx, set, force)
	if err != nil {
		return false, fmt.Errorf("cannot update the keys in %s: %w", s.Dir, err)
	}
	return changed, nil
}

func (s Store) update(ctx context.Context, set *Set, force bool) (changed bool, err error) {
	if set.Release.Commit == "" {
		return false, errors.New("the keys are not of a verified version")
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return false, err
	}
	release, err := lock(s.Dir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, release()) }()
	have, previous, err := s.current(ctx)
	switch {
	case errors.Is(err, ErrNone), err != nil && force:
	case err != nil:
		return false, err
	case have.same(set):
		return false, nil
	case !force:
		if err := set.Release.follows(have.Release); err != nil {
			return false, err
		}
	}
	name, err := s.write(ctx, set)
	if err != nil {
		return false, err
	}
	if err := s.point(name); err != nil {
		return false, err
	}
	return true, s.prune(name, previous)
}

// same tells whether nothing would change.
func (s *Set) same(other *Set) bool {
	return s.Release == other.Release && slices.Equal(s.content(), other.content())
}

// content names all keys by the places they have in the folder of a version.
func (s *Set) content() []string {
	var names []string
	for _, g := range s.groups {
		for _, e := range g.entries {
			names = append(names, g.place(e)+"/"+e.key.Fingerprint())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// place is where the folder of a version has a key.
func (g *group) place(e entry) string {
	switch {
	case e.trusted:
		return g.Implementation + "/" + trustedDir
	case g.Signed:
		return g.Implementation + "/" + validDir
	}
	return g.Implementation
}

// follows refuses what may be older.
func (r Release) follows(have Release) error {
	if r.Tagged.After(have.Tagged) || r.Tagged.Equal(have.Tagged) && r.Commit == have.Commit {
		return nil
	}
	return fmt.Errorf("%w: %s is of %s, and %s, which is in use, of %s; fetch the newest tags, or force it if you mean it", ErrRollback,
		r, r.Tagged.Format(time.RFC3339), have, have.Tagged.Format(time.RFC3339))
}

// write writes a version and returns the name of its folder.
func (s Store) write(ctx context.Context, set *Set) (string, error) {
	if err := s.step("write"); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(s.Dir, unfinished)
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	m := manifest{Version: 1, Release: set.Release}
	for _, g := range set.groups {
		m.Layout = append(m.Layout, directory{g.Implementation, g.Signed})
		if err := g.export(ctx, dir); err != nil {
			return "", err
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	if err := s.step("manifest"); err != nil {
		return "", err
	}
	if err := writeFile(filepath.Join(dir, manifestName), append(text, '\n')); err != nil {
		return "", err
	}
	if err := errors.Join(syncDir(dir), s.step("rename")); err != nil {
		return "", err
	}
	name := s.free(set.Release)
	return name, os.Rename(dir, filepath.Join(s.Dir, name))
}

// export writes the keys of one implementation, each into a file.
func (g *group) export(ctx context.Context, dir string) error {
	written := map[string]bool{}
	for _, e := range g.entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		folder := filepath.Join(dir, filepath.FromSlash(g.place(e)))
		name := filepath.Join(folder, e.key.Fingerprint()+".asc")
		if written[name] {
			continue
		}
		written[name] = true
		text, err := e.key.ArmorPublic()
		if err != nil {
			return err
		}
		if err := errors.Join(os.MkdirAll(folder, 0o755), writeFile(name, text)); err != nil {
			return err
		}
	}
	return nil
}

// versionTime is how names of versions begin, so that they sort by age.
const versionTime = "20060102T150405Z"

// free returns a name for the folder of a version that is not taken.
func (s Store) free(r Release) string {
	base := r.Tagged.UTC().Format(versionTime) + "-" + r.Commit
	name := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(filepath.Join(s.Dir, name)); errors.Is(err, fs.ErrNotExist) {
			return name
		}
		name = base + "-" + strconv.Itoa(n)
	}
}

// isVersion tells whether free may have returned the name.
func isVersion(name string) bool {
	at, rest, _ := strings.Cut(name, "-")
	commit, n, numbered := strings.Cut(rest, "-")
	if _, err := strconv.Atoi(n); numbered && err != nil {
		return false
	}
	_, err := time.Parse(versionTime, at)
	return err == nil && isCommit(commit)
}

// isCommit tells whether the text is a hash as git writes it.
func isCommit(text string) bool {
	return len(text) == 40 && strings.Trim(text, "0123456789abcdef") == ""
}

// point makes the version current.
func (s Store) point(name string) error {
	if err := errors.Join(syncDir(s.Dir), s.step("point")); err != nil {
		return err
	}
	next := filepath.Join(s.Dir, unfinished+currentName)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(next, []byte(name+"\n")); err != nil {
		return err
	}
	if err := s.step("switch"); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(s.Dir, currentName)); err != nil {
		return err
	}
	return syncDir(s.Dir)
}

// prune removes what updates that were cut off have left, and all versions but
// these.
func (s Store) prune(keep ...string) error {
	if err := s.step("prune"); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		old := isVersion(e.Name()) && !slices.Contains(keep, e.Name())
		if old || strings.HasPrefix(e.Name(), unfinished) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.Dir, e.Name())))
		}
	}
	return err
}

func (s Store) step(name string) error {
	if s.before == nil {
		return nil
	}
	return s.before(name)
}

// writeFile writes a file that was not there, onto the disk.
func writeFile(name string, data []byte) error {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
