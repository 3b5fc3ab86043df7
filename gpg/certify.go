package gpg

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

// Certify returns a copy of subject in which this key vouches, from now on, for
// each user id that is not revoked. gpg shows the certifications as good.
func (k *Key) Certify(subject *Key, now time.Time) (*Key, error) {
	certified, err := k.certify(subject, now)
	if err != nil {
		return nil, fmt.Errorf("cannot certify key %s with key %s: %w", subject.Fingerprint(), k.Fingerprint(), err)
	}
	return certified, nil
}

func (k *Key) certify(subject *Key, now time.Time) (*Key, error) {
	if err := k.ValidAt(now); err != nil {
		return nil, err
	}
	if err := subject.ValidAt(now); err != nil {
		return nil, err
	}
	if k.secret == nil {
		return nil, fmt.Errorf("%w for certifying", ErrNoSecret)
	}
	if !k.mayCertify(now) {
		return nil, fmt.Errorf("%w: it is not for certifying", ErrUnfit)
	}
	certified := *subject
	certified.users = slices.Clone(subject.users)
	for i := range certified.users {
		u := &certified.users[i]
		if own, ok := u.newest(now); !ok || own.SigType == packet.SigTypeCertificationRevocation {
			continue
		}
		s := newSigned(packet.SigTypeGenericCert, k.secret, now)
		if err := s.SignUserId(u.id, subject.public, k.secret, nil); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := s.Serialize(&b); err != nil {
			return nil, err
		}
		p, _, _ := wire.Next(b.Bytes())
		read, ok := newSignature(p)
		if !ok {
			return nil, ErrDamaged
		}
		u.others = union(u.others, []signature{read})
	}
	return &certified, nil
}

func (k *Key) mayCertify(at time.Time) bool {
	return slices.ContainsFunc(k.partsFor(at, forCertifying), func(p part) bool { return p.public == k.public })
}

// Certifies returns a key of the ring that vouches for subject at that time:
// with a SHA-2 certification of a user id that neither of the two has revoked,
// not expired, the last word of that key about that user id, while both keys are
// valid. Otherwise the error is ErrNotCertified, or one of ValidAt for subject.
func (r *Keyring) Certifies(subject *Key, at time.Time) (by *Key, err error) {
	defer contained(&err)
	if err := subject.ValidAt(at); err != nil {
		return nil, err
	}
	for _, k := range r.keys {
		if bytes.Equal(k.public.Fingerprint, subject.public.Fingerprint) || k.ValidAt(at) != nil || !k.mayCertify(at) {
			continue
		}
		for _, u := range subject.users {
			own, ok := u.newest(at)
			if ok && own.SigType != packet.SigTypeCertificationRevocation && k.vouches(u, subject, at) {
				return k, nil
			}
		}
	}
	return nil, fmt.Errorf("key %s: %w", subject.Fingerprint(), ErrNotCertified)
}

// vouches tells whether the last word of k about a user id is a certification.
func (k *Key) vouches(u user, subject *Key, at time.Time) bool {
	var last signature
	var revoked time.Time
	for _, s := range u.others {
		if !s.CheckKeyIdOrFingerprint(k.public) || k.public.VerifyUserIdSignature(u.id, subject.public, s.Signature) != nil {
			continue
		}
		switch {
		case !certifies(s):
			if s.CreationTime.After(revoked) {
				revoked = s.CreationTime
			}
		case s.CreationTime.After(at.Add(clockSkew)):
		case last.Signature == nil || s.CreationTime.After(last.CreationTime):
			last = s
		}
	}
	if last.Signature == nil || last.Hash == crypto.SHA1 || last.expiredAt(at) {
		return false
	}
	return revoked.IsZero() || last.CreationTime.After(revoked)
}
