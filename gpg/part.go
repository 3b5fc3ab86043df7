package gpg

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

// newPart reads a packet with a primary key or a subkey.
func newPart(p wire.Packet) (part, error) {
	parsed, err := p.Parse()
	if err != nil {
		return part{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	var made part
	switch key := parsed.(type) {
	case *packet.PublicKey:
		made.public = key
	case *packet.PrivateKey:
		made.public, made.sealed = &key.PublicKey, p.Body
		// A dummy stands for a primary key that is kept elsewhere.
		if !key.Dummy() {
			made.secret = key
		}
	default:
		return part{}, ErrDamaged
	}
	if made.public.Version != 4 {
		return part{}, fmt.Errorf("%w: version %d; make one of version 4, as gpg 2.2 does", ErrUnsupported, made.public.Version)
	}
	if made.secret != nil && made.secret.Encrypted {
		return part{}, fmt.Errorf("key %X: %w, which nobody can enter here; remove it (gpg --edit-key %[1]X passwd, with an empty new one) and export the key again",
			made.public.Fingerprint, ErrLocked)
	}
	return made, nil
}

func isLocked(err error) bool { return errors.Is(err, ErrLocked) }

// merged is what two copies of a part say together.
func (p part) merged(other part) part {
	if p.secret == nil && (other.secret != nil || p.sealed == nil) {
		p.secret, p.sealed = other.secret, other.sealed
	}
	p.own = union(p.own, other.own)
	return p
}

func union(a, b []signature) []signature {
	all := slices.Clone(a)
	for _, s := range b {
		all = add(all, s)
	}
	return all
}
