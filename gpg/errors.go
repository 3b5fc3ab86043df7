package gpg

import (
	"errors"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

// Why a key cannot be read or used.
var (
	// ErrLocked is a private key that is protected by a passphrase.
	ErrLocked = errors.New("the private key needs a passphrase")
	// ErrNoKey is data in which there is no key.
	ErrNoKey = errors.New("there is no OpenPGP key")
	// ErrUnsupported is a key that is not of version 4, or of an algorithm or a
	// structure that is not known here.
	ErrUnsupported = errors.New("unsupported OpenPGP key")
	// ErrNoSecret is a key without the private part that is needed.
	ErrNoSecret = errors.New("the private key is missing")
	// ErrUnfit is a key that must not be used for this.
	ErrUnfit = errors.New("the key is not made for this")

	// ErrNotYetValid is a key that did not exist at that time.
	ErrNotYetValid = errors.New("the key is not valid yet")
	// ErrExpired is a key whose validity ended before that time.
	ErrExpired = errors.New("the key has expired")
	// ErrRevoked is a key that its owner revoked.
	ErrRevoked = errors.New("the key has been revoked")
)

// Why a message or a signature is refused.
var (
	// ErrTooLarge is an input, or what becomes of it, beyond its limit.
	ErrTooLarge = wire.ErrTooLarge
	// ErrArmored is a message in ASCII armor where a binary one is expected.
	ErrArmored = errors.New("the message is in ASCII armor; encrypt it without (gpg: no --armor)")
	// ErrNotProtected is a message whose changes would go unnoticed.
	ErrNotProtected = errors.New("the message is not integrity-protected; encrypt it without the options for old programs (gpg: no --rfc2440, no --disable-mdc)")
	// ErrNotEncrypted is an OpenPGP message that everyone can read.
	ErrNotEncrypted = errors.New("the message is not encrypted to a public key")
	// ErrTrailing is a message with something behind it.
	ErrTrailing = wire.ErrTrailing
	// ErrWrongKey is a message for other keys.
	ErrWrongKey = errors.New("the message is not encrypted to this key")
	// ErrDamaged is an input that is broken, whatever in it is.
	ErrDamaged = wire.ErrDamaged

	// ErrNotClearSigned is a file that is not one clear-signed text and nothing
	// else.
	ErrNotClearSigned = wire.ErrNotClearSigned
	// ErrUnknownSigner is a signature by a key that is not in the keyring.
	ErrUnknownSigner = errors.New("signed by a key that is not known here")
	// ErrBadSignature is a signature that is wrong, too weak, or not over this.
	ErrBadSignature = errors.New("bad signature")
	// ErrNotCertified is a key that no key of the keyring vouches for.
	ErrNotCertified = errors.New("the key is not certified by a trusted key")
)

// contained turns a panic of the OpenPGP library into ErrDamaged. It has had
// such panics over malformed curve points, lengths and nested signatures, and
// what is read here comes from anyone. Whoever parses defers it itself: within
// another deferred function it would recover nothing.
func contained(err *error) {
	if recover() != nil {
		*err = ErrDamaged
	}
}
