package cot

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

// Ed25519Key is a private ed25519 key. Every way of printing it gives
// [redacted].
type Ed25519Key struct{ private ed25519.PrivateKey }

const redacted = "[redacted]"

// String returns [redacted].
func (*Ed25519Key) String() string { return redacted }

// GoString returns [redacted].
func (*Ed25519Key) GoString() string { return redacted }

// LogValue returns [redacted].
func (*Ed25519Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted], so that no encoder writes the key by accident.
func (*Ed25519Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GenerateEd25519 makes a key.
func GenerateEd25519() (*Ed25519Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make an ed25519 key: %w", err)
	}
	return &Ed25519Key{private}, nil
}

// ReadEd25519 reads the file of a private key: base64 of its seed of 32 bytes,
// or of the seed and the public key as docker-worker has it, and perhaps white
// space around. The error never has the text in it.
func ReadEd25519(file []byte) (*Ed25519Key, error) {
	const limit = 1 << 10
	file = bytes.TrimSpace(file)
	secret := make([]byte, base64.StdEncoding.DecodedLen(min(len(file), limit)))
	n, err := base64.StdEncoding.Strict().Decode(secret, file[:min(len(file), limit)])
	secret = secret[:n]
	if err != nil || len(file) > limit || n != ed25519.SeedSize && n != ed25519.PrivateKeySize {
		return nil, errors.New("cannot read the ed25519 key: it is not base64 of 32 bytes; make one with new-ed25519-keypair")
	}
	private := ed25519.NewKeyFromSeed(secret[:ed25519.SeedSize])
	if n == ed25519.PrivateKeySize && !bytes.Equal(private, secret) {
		return nil, errors.New("cannot read the ed25519 key: its second half is not the public key of the first; make one with new-ed25519-keypair")
	}
	return &Ed25519Key{private}, nil
}

// File is the key as ReadEd25519 reads it: base64 of the seed.
func (k *Ed25519Key) File() []byte {
	return base64.StdEncoding.AppendEncode(nil, k.private.Seed())
}

// Public is the public half.
func (k *Ed25519Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// ReadEd25519Public reads base64 of a public key of 32 bytes. A key that
// OpenEd25519 would refuse is an error that wraps ErrWeakKey.
func ReadEd25519Public(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil {
		err = acceptable(key)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the public ed25519 key %q: %w", brief(text), err)
	}
	return key, nil
}

// KeyID names a public key: the hash of its 32 bytes, in lower-case hex.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}
