package gpg

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

const (
	// largestKeyring bounds what Read takes: thousands of keys.
	largestKeyring = 4 << 20
	// mostPackets bounds one key: all user ids, subkeys and signatures.
	mostPackets = 5000
)

// Read reads keys, public or private, of up to 4 MiB: in ASCII armor, one
// block or several, with text between them and blanks at the ends of lines, or
// binary. Copies of one key are merged.
//
// The error is ErrLocked for a private key that needs a passphrase, ErrNoKey
// where there is none, ErrUnsupported, ErrTooLarge or ErrDamaged, in a sentence.
// One key that cannot be read fails them all: a keyring that lacks a key, or the
// revocation of one, would give wrong verdicts.
func Read(data []byte) (ring *Keyring, err error) {
	defer contained(&err)
	if len(data) > largestKeyring {
		return nil, fmt.Errorf("cannot read the keys: %w: %d bytes, and at most %d are read", ErrTooLarge, len(data), largestKeyring)
	}
	blocks := [][]byte{data}
	if len(data) > 0 && data[0]&0x80 == 0 {
		if blocks, err = keyBlocks(data); err != nil {
			return nil, fmt.Errorf("cannot read the keys: %w", err)
		}
	}
	var keys []*Key
	for _, block := range blocks {
		found, err := keysIn(block)
		if err != nil {
			return nil, fmt.Errorf("cannot read the keys: %w", err)
		}
		keys = append(keys, found...)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("cannot read the keys: %w in it; export it with gpg --export --armor", ErrNoKey)
	}
	return NewKeyring(keys...), nil
}

// keyBlocks takes the armored blocks with keys out of a text.
func keyBlocks(text []byte) ([][]byte, error) {
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	var blocks [][]byte
	for len(lines) > 0 {
		kind := strings.TrimSuffix(strings.TrimPrefix(lines[0], "-----BEGIN "), "-----")
		if kind != wire.BlockPublic && kind != wire.BlockSecret {
			lines = lines[1:]
			continue
		}
		block, rest, err := wire.Dearmor(kind, lines)
		if err != nil {
			return nil, err
		}
		blocks, lines = append(blocks, block), rest
	}
	return blocks, nil
}

// keysIn splits a sequence of packets into keys.
func keysIn(data []byte) ([]*Key, error) {
	var keys []*Key
	var group []wire.Packet
	finish := func() error {
		if len(group) == 0 {
			return nil
		}
		k, err := assemble(group)
		if err != nil {
			return err
		}
		keys, group = append(keys, k), nil
		return nil
	}
	for len(data) > 0 {
		p, rest, ok := wire.Next(data)
		if !ok {
			return nil, fmt.Errorf("%w: key %d breaks off", ErrDamaged, len(keys)+1)
		}
		data = rest
		primary := p.Tag == wire.TagPublicKey || p.Tag == wire.TagSecretKey
		if primary {
			if err := finish(); err != nil {
				return nil, err
			}
		}
		if !primary && len(group) == 0 {
			if p.Tag == wire.TagMarker || p.Tag == wire.TagTrust {
				continue
			}
			return nil, fmt.Errorf("%w: it does not begin with a key (a revocation certificate has to be imported into its key with gpg first)", ErrUnsupported)
		}
		if group = append(group, p); len(group) > mostPackets {
			return nil, fmt.Errorf("%w: a key with more than %d parts; export it with gpg --export-options export-minimal", ErrTooLarge, mostPackets)
		}
	}
	return keys, finish()
}

// assemble makes a key of its packets, of which the first is the primary key.
func assemble(group []wire.Packet) (*Key, error) {
	primary, err := newPart(group[0])
	if err != nil {
		return nil, err
	}
	if !primary.public.PubKeyAlgo.CanSign() {
		return nil, fmt.Errorf("%w: a primary key that cannot sign", ErrUnsupported)
	}
	k := &Key{part: primary}
	attach := k.attach // where the following signatures belong
	ignore := func(signature) {}
	for _, p := range group[1:] {
		switch p.Tag {
		case wire.TagUserID:
			attach = k.newUser(string(p.Body))
		case wire.TagPublicSubkey, wire.TagSecretSubkey:
			sub, err := newPart(p)
			if err != nil {
				if isLocked(err) {
					return nil, err
				}
				attach = ignore // of an algorithm that is not known: nothing here needs it
				continue
			}
			attach = k.newSubkey(sub)
		case wire.TagSignature:
			if s, ok := newSignature(p); ok {
				attach(s)
			}
		case wire.TagTrust, wire.TagMarker, wire.TagPadding:
		default: // such as a photograph
			attach = ignore
		}
	}
	k.users = slices.DeleteFunc(k.users, func(u user) bool { return len(u.own) == 0 })
	k.subkeys = slices.DeleteFunc(k.subkeys, func(p part) bool { return len(p.own) == 0 })
	if len(k.users) == 0 {
		return nil, fmt.Errorf("%w: key %s has no user id that it signed itself", ErrUnsupported, k.Fingerprint())
	}
	return k, nil
}

// newSignature leaves out what cannot count: non-exportable signatures, those
// with unknown critical parts or by unknown algorithms, such as MD5.
func newSignature(p wire.Packet) (signature, bool) {
	parsed, err := p.Parse()
	if err != nil {
		return signature{}, false
	}
	s, ok := parsed.(*packet.Signature)
	if !ok || s.Version != 4 || s.CreationTime.IsZero() {
		return signature{}, false
	}
	critical := slices.ContainsFunc(s.Notations, func(n *packet.Notation) bool { return n.IsCritical })
	return signature{s, p.Body}, !critical
}

func (k *Key) attach(s signature) {
	var err error
	switch s.SigType {
	case packet.SigTypeKeyRevocation:
		err = k.public.VerifyRevocationSignature(s.Signature)
	case packet.SigTypeDirectSignature:
		err = k.public.VerifyDirectKeySignature(s.Signature)
	default:
		return
	}
	if err == nil {
		k.own = add(k.own, s)
	}
}

// newUser adds a user id, once, and returns what takes its signatures.
func (k *Key) newUser(id string) func(signature) {
	i := slices.IndexFunc(k.users, func(u user) bool { return u.id == id })
	if i < 0 {
		i = len(k.users)
		k.users = append(k.users, user{id: id})
	}
	return func(s signature) {
		u := &k.users[i]
		switch {
		case !certifies(s) && s.SigType != packet.SigTypeCertificationRevocation:
			k.attach(s) // GnuPG takes a revocation of the key here, too
		case !s.CheckKeyIdOrFingerprint(k.public):
			u.others = add(u.others, s)
		case k.public.VerifyUserIdSignature(id, k.public, s.Signature) == nil:
			u.own = add(u.own, s)
		}
	}
}

func certifies(s signature) bool {
	switch s.SigType {
	case packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert:
		return true
	}
	return false
}

// newSubkey is newUser for a subkey.
func (k *Key) newSubkey(p part) func(signature) {
	i := k.subkey(p)
	if i < 0 {
		i = len(k.subkeys)
		k.subkeys = append(k.subkeys, p)
	} else {
		k.subkeys[i] = k.subkeys[i].merged(p)
	}
	return func(s signature) {
		var err error
		switch s.SigType {
		case packet.SigTypeSubkeyBinding:
			err = k.public.VerifyKeySignature(p.public, s.Signature)
		case packet.SigTypeSubkeyRevocation:
			err = k.public.VerifySubkeyRevocationSignature(s.Signature, p.public)
		default:
			k.attach(s)
			return
		}
		if err == nil {
			k.subkeys[i].own = add(k.subkeys[i].own, s)
		}
	}
}

// add leaves out what is there already.
func add(to []signature, s signature) []signature {
	if slices.ContainsFunc(to, func(have signature) bool { return bytes.Equal(have.body, s.body) }) {
		return to
	}
	return append(to, s)
}
