package gpg

import (
	"bytes"
	"slices"
	"strings"
)

// Keyring is a set of keys. It does not change.
type Keyring struct {
	keys []*Key // of different fingerprints
}

// NewKeyring makes a keyring of keys. Copies of one key are merged: it has all
// user ids, subkeys and signatures of its copies, and the private part if one
// of them has.
func NewKeyring(keys ...*Key) *Keyring {
	r := &Keyring{}
	at := make(map[string]int, len(keys))
	for _, k := range keys {
		fingerprint := k.Fingerprint()
		if i, ok := at[fingerprint]; ok {
			r.keys[i] = r.keys[i].merged(k)
			continue
		}
		at[fingerprint] = len(r.keys)
		r.keys = append(r.keys, k)
	}
	return r
}

// Keys returns the keys in the order in which they came.
func (r *Keyring) Keys() []*Key { return slices.Clone(r.keys) }

// Merge returns a keyring with the keys of both.
func (r *Keyring) Merge(other *Keyring) *Keyring {
	return NewKeyring(slices.Concat(r.keys, other.keys)...)
}

// Find returns the key with this fingerprint, or with this long key id, which
// is the last 16 digits of it, if that is the id of one key only. Blanks, case
// and a leading 0x do not matter.
func (r *Keyring) Find(fingerprint string) (*Key, bool) {
	wanted := strings.ToUpper(strings.Join(strings.Fields(fingerprint), ""))
	wanted = strings.TrimPrefix(wanted, "0X")
	if len(wanted) != 40 && len(wanted) != 16 {
		return nil, false
	}
	var found *Key
	for _, k := range r.keys {
		if !strings.HasSuffix(k.Fingerprint(), wanted) {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = k
	}
	return found, found != nil
}

func (k *Key) merged(other *Key) *Key {
	all := &Key{part: k.part.merged(other.part), users: slices.Clone(k.users), subkeys: slices.Clone(k.subkeys)}
	for _, u := range other.users {
		i := slices.IndexFunc(all.users, func(have user) bool { return have.id == u.id })
		if i < 0 {
			all.users = append(all.users, u)
			continue
		}
		have := &all.users[i]
		have.own, have.others = union(have.own, u.own), union(have.others, u.others)
	}
	for _, p := range other.subkeys {
		i := all.subkey(p)
		if i < 0 {
			all.subkeys = append(all.subkeys, p)
			continue
		}
		all.subkeys[i] = all.subkeys[i].merged(p)
	}
	return all
}

// subkey returns where the subkey is, or -1.
func (k *Key) subkey(p part) int {
	return slices.IndexFunc(k.subkeys, func(have part) bool {
		return bytes.Equal(have.public.Fingerprint, p.public.Fingerprint)
	})
}
