package cot

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// Why a signature is refused, whatever the certificate says.
var (
	ErrNoKeys       = errors.New("no key is trusted")
	ErrWeakKey      = errors.New("it is not a key that could have signed only what its owner meant")
	ErrBadSignature = errors.New("no trusted key made this signature over these bytes")
)

// OpenEd25519 returns the certificate in body if one of the keys made the
// signature, raw and of 64 bytes, over exactly these bytes; and the index of that
// key. A list with a key of another length, or with one under which anybody could
// sign, is refused as a whole with ErrWeakKey. Other errors wrap ErrNoKeys,
// ErrBadSignature or, of what a trusted key signed, ErrMalformed.
func OpenEd25519(body, signature []byte, keys []ed25519.PublicKey) (*Certificate, int, error) {
	by, err := signedBy(body, signature, keys)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot verify certificate: %w", err)
	}
	c, err := Parse(body)
	if err != nil {
		return nil, 0, err
	}
	return c, by, nil
}

// OpenClearSigned returns the certificate in a clear-signed file and the key
// that signed it, which is one of keys and was valid at the given time. Nothing but
// what is signed may be in the file. Other errors than those of gpg's OpenClearSigned
// wrap ErrNoKeys or ErrMalformed.
func OpenClearSigned(file []byte, keys *gpg.Keyring, at time.Time) (*Certificate, *gpg.Key, error) {
	if keys == nil || len(keys.Keys()) == 0 {
		return nil, nil, fmt.Errorf("cannot verify certificate: %w", ErrNoKeys)
	}
	if len(file) > MaxBytes {
		return nil, nil, fmt.Errorf("cannot verify certificate: %w", malformed("it is longer than %d MiB", MaxBytes>>20))
	}
	body, by, err := keys.OpenClearSigned(file, at)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot verify certificate: %w", err)
	}
	c, err := Parse(body)
	if err != nil {
		return nil, nil, err
	}
	return c, by, nil
}

func signedBy(body, signature []byte, keys []ed25519.PublicKey) (int, error) {
	if len(keys) == 0 {
		return 0, ErrNoKeys
	}
	for i, key := range keys {
		if err := acceptable(key); err != nil {
			return 0, fmt.Errorf("trusted key %d of %d: %w", i+1, len(keys), err)
		}
	}
	if len(body) > MaxBytes {
		return 0, malformed("it is longer than %d MiB", MaxBytes>>20)
	}
	if len(signature) != ed25519.SignatureSize {
		return 0, fmt.Errorf("the signature has %d bytes and not %d: %w", len(signature), ed25519.SignatureSize, ErrBadSignature)
	}
	// Verify refuses a second half that is not reduced, so that nobody can
	// change a signature into another valid one.
	by := slices.IndexFunc(keys, func(key ed25519.PublicKey) bool { return ed25519.Verify(key, body, signature) })
	if by < 0 {
		return 0, ErrBadSignature
	}
	return by, nil
}

// smallOrder are the encodings, without the sign, of the points whose multiples
// are only eight: a signature under one of them fits many messages.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
}

// acceptable refuses what is no public key of one owner: other lengths, points
// of small order, and coordinates that are written in a second way.
func acceptable(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: it has %d bytes and not %d", ErrWeakKey, len(key), ed25519.PublicKeySize)
	}
	y := bytes.Clone(key)
	y[len(y)-1] &= 0x7f // without the sign
	if slices.Contains(smallOrder[:], hex.EncodeToString(y)) {
		return fmt.Errorf("%w: it has a small order", ErrWeakKey)
	}
	slices.Reverse(y)
	if new(big.Int).SetBytes(y).Cmp(prime()) >= 0 {
		return fmt.Errorf("%w: it is not in its canonical form", ErrWeakKey)
	}
	return nil
}

// prime is the order of the field, 2²⁵⁵ - 19.
func prime() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	return p.Sub(p, big.NewInt(19))
}
