package keyrepo

import (
	"fmt"
	"slices"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// Release is the version of a repository that a set of keys comes from. It is
// zero for plain files.
type Release struct {
	Tag    string    `json:"tag"`
	Commit string    `json:"commit"` // 40 hexadecimal digits
	Tagged time.Time `json:"tagged"` // as the tag says
	Signer string    `json:"signer"` // fingerprint of the key that signed the tag
}

// String is the tag and the commit.
func (r Release) String() string { return fmt.Sprintf("%s (commit %.12s)", r.Tag, r.Commit) }

// Set has the keys of each worker implementation. It does not change.
type Set struct {
	Release Release
	groups  []group
}

// Keys are those of one worker implementation: what certificates of its tasks
// are signed with.
type Keys struct {
	// OpenPGP are the keys of workers.
	OpenPGP *gpg.Keyring
	// CertifiedBy is nil, or has the keys of people: a key of OpenPGP counts only
	// if one of these has certified it.
	CertifiedBy *gpg.Keyring
}

// Implementations are the names of those that there are keys of, sorted.
func (s *Set) Implementations() []string {
	var names []string
	for _, g := range s.groups {
		names = append(names, g.Implementation)
	}
	slices.Sort(names)
	return names
}

// Keys returns the keys of one worker implementation. None of the keyrings is
// empty; whether a key counts depends on the time. The error is ErrUnknown.
func (s *Set) Keys(implementation string) (Keys, error) {
	for _, g := range s.groups {
		if g.Implementation == implementation {
			return g.keys(), nil
		}
	}
	return Keys{}, fmt.Errorf("cannot get the keys of %s: %w", implementation, ErrUnknown)
}

// Check tells whether a key of k counts at that time, and which key has
// certified it; that is nil for keys that need nobody to. The error is one of
// gpg.Keyring.Certifies or gpg.Key.ValidAt, or gpg.ErrUnknownSigner for a key
// that is not in k. The keys of CertifiedBy count, too, as long as they are
// valid.
func (k Keys) Check(key *gpg.Key, at time.Time) (by *gpg.Key, err error) {
	if k.CertifiedBy != nil {
		if own, ok := k.CertifiedBy.Find(key.Fingerprint()); ok {
			return nil, own.ValidAt(at)
		}
	}
	own, ok := k.OpenPGP.Find(key.Fingerprint())
	if !ok {
		return nil, fmt.Errorf("key %s: %w", key.Fingerprint(), gpg.ErrUnknownSigner)
	}
	if k.CertifiedBy == nil {
		return nil, own.ValidAt(at)
	}
	return k.CertifiedBy.Certifies(own, at)
}

// Verdict is what one key in one file is worth.
type Verdict struct {
	Implementation string
	Path           string // in the repository, with slashes
	Trusted        bool   // the key of a person who certifies keys of workers
	Key            *gpg.Key
	By             *gpg.Key // has certified it; nil if nobody needs to, or nobody has
	Err            error    // why it does not count; nil if it does
}

// Verdicts tells of every key in every file whether it counts at that time.
func (s *Set) Verdicts(at time.Time) []Verdict {
	var all []Verdict
	for _, g := range s.groups {
		keys := g.keys()
		for _, e := range g.entries {
			v := Verdict{Implementation: g.Implementation, Path: e.path, Trusted: e.trusted, Key: e.key}
			v.By, v.Err = keys.Check(e.key, at)
			all = append(all, v)
		}
	}
	return all
}

// usable refuses implementations without a worker's key that counts at that
// time: who verifies with them would refuse everything.
func (s *Set) usable(at time.Time) error {
	why := map[string]error{} // implementation -> why its first key does not count; nil: one does
	for _, v := range s.Verdicts(at) {
		if v.Trusted {
			continue
		}
		if first, seen := why[v.Implementation]; !seen || first != nil && v.Err == nil {
			why[v.Implementation] = v.Err
		}
	}
	for _, name := range s.Implementations() {
		if why[name] != nil {
			return fmt.Errorf("%s: %w at %s: %w", name, ErrEmpty, at.UTC().Format(time.RFC3339), why[name])
		}
	}
	return nil
}
