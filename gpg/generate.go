package gpg

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Algorithm is what a key is made with.
type Algorithm string

// The algorithms of keys that Generate makes. GnuPG 2.2 knows them all, older
// programs only RSA.
const (
	RSA4096    Algorithm = "rsa4096"
	RSA2048    Algorithm = "rsa2048"
	Curve25519 Algorithm = "curve25519" // Ed25519, with X25519 for encryption
)

// Spec says what key to make.
type Spec struct {
	Name, Email, Comment string // of the user id; Name or Email is needed
	Algorithm            Algorithm
	Lifetime             time.Duration // in seconds, rounded up; 0: the key does not expire
	Encryption           bool          // with a subkey for encryption, of the same lifetime
	Now                  time.Time     // when it is made; zero: now
}

// Generate makes a key that signs and certifies, and decrypts if it has a
// subkey for that. The private part is not protected by a passphrase.
func Generate(spec Spec) (*Key, error) {
	config, err := spec.config()
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	made, err := openpgp.NewEntity(spec.Name, spec.Comment, spec.Email, config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	if !spec.Encryption {
		made.Subkeys = nil
	}
	var b bytes.Buffer
	if err := made.SerializePrivateWithoutSigning(&b, config); err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	keys, err := keysIn(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	return keys[0], nil
}

func (s Spec) config() (*packet.Config, error) {
	if strings.TrimSpace(s.Name) == "" && strings.TrimSpace(s.Email) == "" {
		return nil, errors.New("it needs a name or a mail address")
	}
	for _, text := range []string{s.Name, s.Email, s.Comment} {
		if strings.ContainsAny(text, "()<>") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("%q has one of the characters ( ) < > or a control character; leave it out", text)
		}
	}
	seconds := math.Ceil(s.Lifetime.Seconds())
	if seconds < 0 || seconds > math.MaxUint32 {
		return nil, fmt.Errorf("a lifetime of %v is not between a second and 136 years", s.Lifetime)
	}
	now := s.Now
	if now.IsZero() {
		now = time.Now()
	}
	config := &packet.Config{
		DefaultHash:     crypto.SHA512,
		DefaultCipher:   packet.CipherAES256,
		KeyLifetimeSecs: uint32(seconds),
		Time:            func() time.Time { return now },
	}
	switch s.Algorithm {
	case RSA4096:
		config.Algorithm, config.RSABits = packet.PubKeyAlgoRSA, 4096
	case RSA2048:
		config.Algorithm, config.RSABits = packet.PubKeyAlgoRSA, 2048
	case Curve25519:
		config.Algorithm, config.Curve = packet.PubKeyAlgoEdDSA, packet.Curve25519
	default:
		return nil, fmt.Errorf("the algorithm %q is not known; use one of %v", s.Algorithm, []Algorithm{RSA4096, RSA2048, Curve25519})
	}
	return config, nil
}
