package keyrepo

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/gpg"
)

// Directory says how a repository has the keys of one worker implementation.
type Directory struct {
	Implementation string   // also the name of the directory, at the top
	Signed         bool     // keys are in trusted/ and valid/; otherwise every file at any depth is one
	Ignored        []string // how the names of files end that are no keys
}

// Layout are the directories that are read. Others do not matter.
type Layout []Directory

// Usual is the layout of the repositories that scriptworker reads.
func Usual() Layout {
	return Layout{
		{Implementation: "docker-worker", Ignored: []string{".md"}},
		{Implementation: "generic-worker", Ignored: []string{".md", ".in", ".sh"}},
		{Implementation: "scriptworker", Signed: true, Ignored: []string{".md"}},
	}
}

// The parts of a signed directory.
const (
	trustedDir = "trusted"
	validDir   = "valid"
)

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// Limits on what is read of one version.
const (
	mostFiles     = 5000     // in the directories of the layout, those that are ignored too
	mostDepth     = 8        // directories within one another
	largestFile   = 1 << 20  // bytes
	largestOfAll  = 32 << 20 // bytes
	mostKeys      = 5000
	mostTags      = 10_000
	largestObject = 1 << 20 // a tag, a commit or a directory
)

// file is one file of a repository; its path has slashes.
type file struct {
	path string
	data []byte
}

// check refuses layouts that would read something else than they say.
func (l Layout) check() error {
	for i, d := range l {
		if d.Implementation == "" || d.Implementation[0] == '.' || strings.Trim(d.Implementation, nameCharacters) != "" {
			return fmt.Errorf("%q is not the name of a worker implementation; write letters, digits and -_. as in docker-worker", d.Implementation)
		}
		if slices.ContainsFunc(l[:i], func(o Directory) bool { return o.Implementation == d.Implementation }) {
			return fmt.Errorf("directory %s is there twice", d.Implementation)
		}
	}
	return nil
}

// wants tells whether the file is a key of the directory.
func (d Directory) wants(name string) bool {
	rest, ok := strings.CutPrefix(name, d.Implementation+"/")
	if !ok || d.ignores(name) {
		return false
	}
	return !d.Signed || d.trusts(name) || strings.HasPrefix(rest, validDir+"/")
}

func (d Directory) ignores(name string) bool {
	return slices.ContainsFunc(d.Ignored, func(end string) bool { return strings.HasSuffix(name, end) })
}

func (d Directory) trusts(name string) bool {
	return d.Signed && strings.HasPrefix(name, path.Join(d.Implementation, trustedDir)+"/")
}

// entry is one key in one file.
type entry struct {
	path    string
	trusted bool
	key     *gpg.Key
}

// group are the keys of one implementation, copies of one key merged.
type group struct {
	Directory
	entries []entry
}

// arrange reads the keys in the files. A directory without keys is an
// error if the layout is explicit.
func arrange(files []file, layout Layout, explicit bool) ([]group, error) {
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	var groups []group
	o := owners{ids: map[string]string{}, directories: map[string]string{}}
	for _, d := range layout {
		g := group{Directory: d}
		for _, f := range files {
			if !d.wants(f.path) {
				continue
			}
			if err := g.read(f); err != nil {
				return nil, err
			}
		}
		if len(g.entries) == 0 && !explicit {
			continue
		}
		if err := errors.Join(g.complete(), o.add(g)); err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("cannot read the key repository: %w: none of its directories is a worker implementation", ErrEmpty)
	}
	return groups, nil
}

func (g *group) read(f file) error {
	ring, err := gpg.Read(f.data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	for _, k := range ring.Keys() {
		if k.Secret() {
			return fmt.Errorf("%s: %w", f.path, ErrSecret)
		}
		g.entries = append(g.entries, entry{path: f.path, trusted: g.trusts(f.path), key: k})
	}
	if len(g.entries) > mostKeys {
		return fmt.Errorf("%s: %w: more than %d keys", g.Implementation, ErrTooLarge, mostKeys)
	}
	return nil
}

// complete merges copies of one key, wherever they are in the directory, and
// refuses what has no keys at all.
func (g *group) complete() error {
	all := make([]*gpg.Key, 0, len(g.entries))
	for _, e := range g.entries {
		all = append(all, e.key)
	}
	ring := gpg.NewKeyring(all...)
	for i := range g.entries {
		if k, ok := ring.Find(g.entries[i].key.Fingerprint()); ok {
			g.entries[i].key = k
		}
	}
	k := g.keys()
	if len(k.OpenPGP.Keys()) == 0 || g.Signed && len(k.CertifiedBy.Keys()) == 0 {
		what := g.Implementation
		if g.Signed && len(k.OpenPGP.Keys()) == 0 {
			what += "/" + validDir
		} else if g.Signed {
			what += "/" + trustedDir
		}
		return fmt.Errorf("%s: %w in it", what, ErrEmpty)
	}
	return nil
}

// keys returns the keyrings.
func (g *group) keys() Keys {
	var workers, trusted []*gpg.Key
	for _, e := range g.entries {
		if e.trusted {
			trusted = append(trusted, e.key)
		} else {
			workers = append(workers, e.key)
		}
	}
	k := Keys{OpenPGP: gpg.NewKeyring(workers...)}
	if g.Signed {
		k.CertifiedBy = gpg.NewKeyring(trusted...)
	}
	return k
}

// owners tells whose key is whose.
type owners struct {
	ids         map[string]string // long key id -> fingerprint
	directories map[string]string // fingerprint -> implementation
}

func (o *owners) add(g group) error {
	for _, e := range g.entries {
		fingerprint := e.key.Fingerprint()
		if err := o.claim(fingerprint, g.Implementation); err != nil {
			return fmt.Errorf("%s: %w", e.path, err)
		}
	}
	return nil
}

func (o *owners) claim(fingerprint, implementation string) error {
	id := fingerprint[len(fingerprint)-16:]
	if other, taken := o.ids[id]; taken && other != fingerprint {
		return fmt.Errorf("%w: keys %s and %s have the same key id, so one may pass for the other; remove one", ErrAmbiguous, fingerprint, other)
	}
	if other, taken := o.directories[fingerprint]; taken && other != implementation {
		return fmt.Errorf("%w: key %s is one of %s and of %s; give each worker implementation a key of its own", ErrAmbiguous, fingerprint, other, implementation)
	}
	o.ids[id], o.directories[fingerprint] = fingerprint, implementation
	return nil
}
