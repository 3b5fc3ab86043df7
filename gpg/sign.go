package gpg

import (
	"bytes"
	"crypto"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

const (
	// largestSigned bounds what is verified.
	largestSigned = 64 << 20
	// largestSignature bounds a detached signature: several lines of comments,
	// one packet.
	largestSignature = 64 << 10
	// clockSkew is how much later than the time of verification a signature may
	// claim to have been made: machines that sign have clocks of their own.
	clockSkew = 5 * time.Minute
)

// hashName is the name of a hash algorithm that signatures may have. MD5, SHA-1
// and RIPEMD-160 are not among them.
func hashName(h crypto.Hash) (string, bool) {
	switch h {
	case crypto.SHA224:
		return "SHA224", true
	case crypto.SHA256:
		return "SHA256", true
	case crypto.SHA384:
		return "SHA384", true
	case crypto.SHA512:
		return "SHA512", true
	}
	return "", false
}

// SignDetached returns a signature of data in ASCII armor, as git has it in
// signed tags. The key has to be valid now.
func (k *Key) SignDetached(data []byte) ([]byte, error) {
	signature, err := k.sign(packet.SigTypeBinary, data, time.Now())
	if err == nil {
		signature, err = wire.Enarmor(wire.BlockSignature, signature)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot sign with key %s: %w", k.Fingerprint(), err)
	}
	return signature, nil
}

// sign returns the packet of a signature with SHA-512.
func (k *Key) sign(kind packet.SignatureType, data []byte, now time.Time) ([]byte, error) {
	if err := k.ValidAt(now); err != nil {
		return nil, err
	}
	var signer *packet.PrivateKey
	for _, p := range k.partsFor(now, forSigning) {
		if p.secret != nil && p.public.PubKeyAlgo.CanSign() {
			signer = p.secret
			break
		}
	}
	if signer == nil {
		return nil, fmt.Errorf("%w for signing", ErrNoSecret)
	}
	s := newSigned(kind, signer, now)
	h := crypto.SHA512.New()
	h.Write(data)
	if err := s.Sign(h, signer, nil); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := s.Serialize(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func newSigned(kind packet.SignatureType, signer *packet.PrivateKey, now time.Time) *packet.Signature {
	return &packet.Signature{
		Version:      4,
		SigType:      kind,
		PubKeyAlgo:   signer.PubKeyAlgo,
		Hash:         crypto.SHA512,
		CreationTime: now,
		IssuerKeyId:  &signer.KeyId,
	}
}

// VerifyDetached returns the key that made this signature, in ASCII armor or
// binary, of data. The key was valid at that time, and the signature is of a
// SHA-2 hash. The error is ErrUnknownSigner, ErrBadSignature, ErrDamaged,
// ErrTooLarge, or one of ValidAt.
func (r *Keyring) VerifyDetached(data, signature []byte, at time.Time) (signer *Key, err error) {
	defer contained(&err)
	if len(data) > largestSigned || len(signature) > largestSignature {
		return nil, fmt.Errorf("cannot verify the signature: %w", ErrTooLarge)
	}
	if len(signature) > 0 && signature[0]&0x80 == 0 {
		if signature, err = lonelyBlock(signature); err != nil {
			return nil, fmt.Errorf("cannot verify the signature: %w", err)
		}
	}
	s, err := oneSignature(signature)
	if err != nil {
		return nil, fmt.Errorf("cannot verify the signature: %w", err)
	}
	switch s.SigType {
	case packet.SigTypeBinary:
	case packet.SigTypeText:
		data = canonical(data)
	default:
		return nil, fmt.Errorf("cannot verify the signature: %w: it is not one of a document", ErrBadSignature)
	}
	if signer, err = r.signerOf(s, data, at); err != nil {
		return nil, fmt.Errorf("cannot verify the signature: %w", err)
	}
	return signer, nil
}

// lonelyBlock reads a text that is an armored signature and nothing else.
func lonelyBlock(text []byte) ([]byte, error) {
	lines, err := wire.Lines(text)
	if err != nil {
		return nil, err
	}
	data, rest, err := wire.Dearmor(wire.BlockSignature, lines)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: there is something behind the signature", ErrDamaged)
	}
	return data, nil
}

// canonical gives all lines the line end CR LF, as signatures of texts have it.
func canonical(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// oneSignature reads exactly one signature.
func oneSignature(data []byte) (*packet.Signature, error) {
	p, rest, ok := wire.Next(data)
	switch {
	case !ok || p.Tag != wire.TagSignature:
		return nil, fmt.Errorf("%w: it is not a signature", ErrDamaged)
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: there is something behind the first signature; sign with one key", ErrBadSignature)
	}
	s, ok := newSignature(p)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: it is of a kind or an algorithm that is not known; sign with gpg 2.2 or later and SHA-512", ErrBadSignature)
	case s.EmbeddedSignature != nil:
		return nil, fmt.Errorf("%w: there is another signature in it", ErrBadSignature)
	}
	if _, ok := hashName(s.Hash); !ok {
		return nil, fmt.Errorf("%w: its hash algorithm is too weak; sign with SHA-512", ErrBadSignature)
	}
	return s.Signature, nil
}

// signerOf returns the key of the ring whose signature of data this is. All
// that may have made it are tried: key ids are not unique.
func (r *Keyring) signerOf(s *packet.Signature, data []byte, at time.Time) (*Key, error) {
	var err error
	for _, k := range r.keys {
		for _, p := range append([]part{k.part}, k.subkeys...) {
			if !s.CheckKeyIdOrFingerprint(p.public) {
				continue
			}
			if err = k.signed(p, s, data, at); err == nil {
				return k, nil
			}
		}
	}
	if err == nil {
		err = ErrUnknownSigner
		if s.IssuerKeyId != nil {
			err = fmt.Errorf("%w: key id %016X", err, *s.IssuerKeyId)
		}
	}
	return nil, err
}

// signed returns nil if this part of the key made the signature and could do
// so at that time.
func (k *Key) signed(p part, s *packet.Signature, data []byte, at time.Time) error {
	h := s.Hash.New()
	h.Write(data)
	if err := p.public.VerifySignature(h, s); err != nil {
		return fmt.Errorf("%w: it is not that of key %s over this", ErrBadSignature, k.Fingerprint())
	}
	if err := k.ValidAt(at); err != nil {
		return err
	}
	if err := k.allows(p, at); err != nil {
		return err
	}
	switch {
	case s.CreationTime.Before(p.public.CreationTime):
		return fmt.Errorf("%w: it claims to be older than key %s", ErrBadSignature, k.Fingerprint())
	case s.CreationTime.After(at.Add(clockSkew)):
		return fmt.Errorf("%w: it claims to have been made later, on %s", ErrBadSignature, date(s.CreationTime))
	case signature{Signature: s}.expiredAt(at):
		return fmt.Errorf("%w: it expired", ErrBadSignature)
	}
	return nil
}

// allows tells whether a part of the key may sign at that time.
func (k *Key) allows(p part, at time.Time) error {
	for _, allowed := range k.partsFor(at, forSigning) {
		if allowed.public == p.public {
			return nil
		}
	}
	if _, revoked := p.revoked(); revoked {
		return fmt.Errorf("subkey %X of key %s: %w", p.public.Fingerprint, k.Fingerprint(), ErrRevoked)
	}
	if end := p.endOf(p.binding(at)); !end.IsZero() && !at.Before(end) {
		return fmt.Errorf("subkey %X of key %s: %w on %s", p.public.Fingerprint, k.Fingerprint(), ErrExpired, date(end))
	}
	return fmt.Errorf("%X of key %s: %w: it is not for signing", p.public.Fingerprint, k.Fingerprint(), ErrUnfit)
}
