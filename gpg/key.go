package gpg

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

// Key is one OpenPGP key with its user ids and subkeys. It does not change, so
// it can be used by several goroutines at once.
type Key struct {
	part
	users   []user
	subkeys []part
}

// part is a primary key or a subkey. Its signatures are those by the primary
// key that verify: for the primary key itself direct-key signatures and
// revocations, for a subkey its bindings and revocations.
type part struct {
	public *packet.PublicKey
	secret *packet.PrivateKey // nil without a usable private part
	sealed []byte             // body of the packet with the private part
	own    []signature
}

// user is a user id with the certifications and revocations of it. Those by
// the key itself verify; those by others wait for somebody who has their keys.
type user struct {
	id          string
	own, others []signature
}

// signature is a signature together with its bytes: the library does not
// always write what it has read.
type signature struct {
	*packet.Signature
	body []byte
}

func (s signature) expiredAt(t time.Time) bool {
	life := s.SigLifetimeSecs
	return life != nil && *life != 0 && !t.Before(s.CreationTime.Add(time.Duration(*life)*time.Second))
}

// Fingerprint is the fingerprint of the primary key, in 40 upper-case
// hexadecimal digits.
func (k *Key) Fingerprint() string { return fmt.Sprintf("%X", k.public.Fingerprint) }

// Identities are the user ids, "name (comment) <mail>", those that are not
// revoked first. There is at least one.
func (k *Key) Identities() []string {
	var live, revoked []string
	for _, u := range k.users {
		if s, ok := u.newest(time.Time{}); ok && s.SigType != packet.SigTypeCertificationRevocation {
			live = append(live, u.id)
		} else {
			revoked = append(revoked, u.id)
		}
	}
	return append(live, revoked...)
}

// Secret tells whether there is a private part. It is usable without a
// passphrase, as other keys cannot be read.
func (k *Key) Secret() bool {
	return k.secret != nil || slices.ContainsFunc(k.subkeys, func(p part) bool { return p.secret != nil })
}

// Created is when the key was made, in seconds.
func (k *Key) Created() time.Time { return k.public.CreationTime }

// Expires is the first second in which the key is no longer valid, and zero
// for a key that does not expire. The newest self signature decides.
func (k *Key) Expires() time.Time {
	return k.endOf(k.settled(time.Time{}, lifetime))
}

func lifetime(s *packet.Signature) bool { return s.KeyLifetimeSecs != nil && *s.KeyLifetimeSecs != 0 }

// endOf is when the part ends by this self signature.
func (p *part) endOf(s *packet.Signature) time.Time {
	if s == nil || !lifetime(s) {
		return time.Time{}
	}
	return p.public.CreationTime.Add(time.Duration(*s.KeyLifetimeSecs) * time.Second)
}

// Revoked returns when the owner of the key revoked it.
func (k *Key) Revoked() (time.Time, bool) { return k.revoked() }

func (p *part) revoked() (time.Time, bool) {
	var first time.Time
	for _, s := range p.own {
		if s.SigType != packet.SigTypeKeyRevocation && s.SigType != packet.SigTypeSubkeyRevocation {
			continue
		}
		if first.IsZero() || s.CreationTime.Before(first) {
			first = s.CreationTime
		}
	}
	return first, !first.IsZero()
}

// ValidAt tells whether the key was valid at a time, as far as the key alone
// can say: the error is ErrNotYetValid, ErrExpired or ErrRevoked in a sentence.
//
// A revoked key is not valid at any time: whoever has the private part can date
// signatures back. A later self signature counts for earlier times too.
func (k *Key) ValidAt(t time.Time) error {
	switch at, revoked := k.revoked(); {
	case revoked:
		return fmt.Errorf("key %s: %w on %s", k.Fingerprint(), ErrRevoked, date(at))
	case t.Before(k.public.CreationTime):
		return fmt.Errorf("key %s: %w: it was made on %s", k.Fingerprint(), ErrNotYetValid, date(k.public.CreationTime))
	}
	if end := k.endOf(k.settled(t, lifetime)); !end.IsZero() && !t.Before(end) {
		return fmt.Errorf("key %s: %w on %s; extend it, or use another key", k.Fingerprint(), ErrExpired, date(end))
	}
	why := ErrRevoked
	for _, u := range k.users {
		s, ok := u.newest(t)
		if ok && s.SigType != packet.SigTypeCertificationRevocation {
			return nil
		}
		if !ok {
			why = ErrExpired
		}
	}
	return fmt.Errorf("key %s has no user id left: %w", k.Fingerprint(), why)
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// newest is what the key last said about this user id: a certification, or a
// revocation, which also wins over a certification of the same second.
func (u *user) newest(t time.Time) (signature, bool) {
	return newest(u.own, t)
}

func newest(of []signature, t time.Time) (last signature, ok bool) {
	for _, s := range of {
		if s.expiredAt(t) {
			continue
		}
		if !ok || s.CreationTime.After(last.CreationTime) ||
			s.CreationTime.Equal(last.CreationTime) && s.SigType == packet.SigTypeCertificationRevocation {
			last, ok = s, true
		}
	}
	return last, ok
}

// settled returns the self signature that decides about a property of the
// primary key: the newest one on the key itself, or else on a user id, that
// has the property. GnuPG finds it in the same way.
func (k *Key) settled(t time.Time, has func(*packet.Signature) bool) *packet.Signature {
	var direct []signature
	for _, s := range k.own {
		if s.SigType == packet.SigTypeDirectSignature {
			direct = append(direct, s)
		}
	}
	if s, ok := newest(direct, t); ok && has(s.Signature) {
		return s.Signature
	}
	var found *packet.Signature
	for _, u := range k.users {
		s, ok := u.newest(t)
		if !ok || s.SigType == packet.SigTypeCertificationRevocation || !has(s.Signature) {
			continue
		}
		if found == nil || s.CreationTime.After(found.CreationTime) {
			found = s.Signature
		}
	}
	return found
}

// binding is the newest signature that makes this part a subkey.
func (p *part) binding(t time.Time) *packet.Signature {
	var bindings []signature
	for _, s := range p.own {
		if s.SigType == packet.SigTypeSubkeyBinding {
			bindings = append(bindings, s)
		}
	}
	if s, ok := newest(bindings, t); ok {
		return s.Signature
	}
	return nil
}

// partsFor returns the primary key and the subkeys that are made for a use and
// valid at t, the newest subkey first and the primary key last. A primary key
// that says nothing about its use is made for any its algorithm can do.
func (k *Key) partsFor(t time.Time, use func(*packet.Signature) bool) []part {
	var found []part
	for _, p := range k.subkeys {
		s := p.binding(t)
		if s == nil || !s.FlagsValid || !use(s) || t.Before(p.public.CreationTime) {
			continue
		}
		if _, revoked := p.revoked(); revoked {
			continue
		}
		if end := p.endOf(s); !end.IsZero() && !t.Before(end) {
			continue
		}
		found = append(found, p)
	}
	slices.SortStableFunc(found, func(a, b part) int { return b.public.CreationTime.Compare(a.public.CreationTime) })
	s := k.settled(t, hasFlags)
	if s == nil || use(s) {
		found = append(found, k.part)
	}
	return found
}

func hasFlags(s *packet.Signature) bool { return s.FlagsValid }

func forSigning(s *packet.Signature) bool { return s.FlagSign }

func forCertifying(s *packet.Signature) bool { return s.FlagCertify }

func forEncryption(s *packet.Signature) bool {
	return s.FlagEncryptCommunications || s.FlagEncryptStorage
}

// ArmorPublic returns the public part in ASCII armor, with all certifications.
func (k *Key) ArmorPublic() ([]byte, error) {
	text, err := wire.Enarmor(wire.BlockPublic, k.bytes(false))
	if err != nil {
		return nil, fmt.Errorf("cannot write key %s: %w", k.Fingerprint(), err)
	}
	return text, nil
}

// ArmorSecret returns the whole key in ASCII armor, not protected by a
// passphrase. The error is ErrNoSecret for a key that is only public.
func (k *Key) ArmorSecret() ([]byte, error) {
	if !k.Secret() {
		return nil, fmt.Errorf("cannot write the private key %s: %w", k.Fingerprint(), ErrNoSecret)
	}
	text, err := wire.Enarmor(wire.BlockSecret, k.bytes(true))
	if err != nil {
		return nil, fmt.Errorf("cannot write the private key %s: %w", k.Fingerprint(), err)
	}
	return text, nil
}

func (k *Key) bytes(secret bool) []byte {
	var b bytes.Buffer
	write := func(p *part) {
		switch {
		case secret && p.sealed != nil && p.public.IsSubkey:
			wire.Packet{Tag: wire.TagSecretSubkey, Body: p.sealed}.Write(&b)
		case secret && p.sealed != nil:
			wire.Packet{Tag: wire.TagSecretKey, Body: p.sealed}.Write(&b)
		default:
			p.public.Serialize(&b) // a bytes.Buffer takes everything
		}
		writeAll(&b, p.own)
	}
	write(&k.part)
	for _, u := range k.users {
		wire.Packet{Tag: wire.TagUserID, Body: []byte(u.id)}.Write(&b)
		writeAll(&b, u.own)
		writeAll(&b, u.others)
	}
	for i := range k.subkeys {
		write(&k.subkeys[i])
	}
	return b.Bytes()
}

func writeAll(b *bytes.Buffer, all []signature) {
	for _, s := range all {
		wire.Packet{Tag: wire.TagSignature, Body: s.body}.Write(b)
	}
}

// String is the fingerprint and the first user id.
func (k *Key) String() string {
	return k.Fingerprint() + " " + strings.ToValidUTF8(k.Identities()[0], "?")
}
