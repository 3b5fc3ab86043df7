package gpg

import (
	"bytes"
	"crypto/rand"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

const (
	// largestMessage bounds a message as it comes.
	largestMessage = 64 << 10
	// mostAttempts bounds how often a private key is used on a message. Messages
	// that do not name their recipients need one for each of them and each key.
	mostAttempts = 32
)

// Decrypt opens one binary message of up to 64 KiB that is encrypted to a key
// of the ring, beside others perhaps, or to a recipient it does not name. At
// most limit bytes are returned, and none before all of the message has been
// authenticated. Signatures in it are not looked at. Of what the sender marked
// as text the line ends are LF. An expired or revoked key still decrypts.
//
// The error is ErrTooLarge, ErrArmored, ErrNotEncrypted, ErrNotProtected,
// ErrTrailing, ErrWrongKey or ErrDamaged, and says no more than that: which step
// failed would help whoever tries out messages. Messages can be changed without
// changing what they say, so they do not identify anything.
func (r *Keyring) Decrypt(message []byte, limit int) (plain []byte, err error) {
	defer contained(&err)
	if len(message) > largestMessage {
		return nil, ErrTooLarge
	}
	e, err := openEnvelope(message)
	if err != nil {
		return nil, err
	}
	content, err := r.unseal(e)
	if err != nil {
		return nil, err
	}
	return wire.Literal(content, limit)
}

// envelope is an encrypted message, split.
type envelope struct {
	sessions []*packet.EncryptedKey
	data     wire.Packet
}

// openEnvelope splits a message: session keys, the encrypted data, its end.
func openEnvelope(message []byte) (*envelope, error) {
	if bytes.HasPrefix(bytes.TrimLeft(message, " \t\r\n"), []byte("-----BEGIN PGP")) {
		return nil, ErrArmored
	}
	e := &envelope{}
	for rest := message; len(rest) > 0; {
		p, behind, ok := wire.Next(rest)
		if !ok {
			return nil, ErrDamaged
		}
		rest = behind
		switch p.Tag {
		case wire.TagSessionKey:
			// One of a kind that is not known is for somebody else.
			if parsed, err := p.Parse(); err == nil {
				e.sessions = append(e.sessions, parsed.(*packet.EncryptedKey))
			}
		case wire.TagPassphraseKey, wire.TagMarker:
		case wire.TagProtected, wire.TagProtectedDraft:
			if len(rest) > 0 {
				return nil, ErrTrailing
			}
			e.data = p
			return e, nil
		case wire.TagUnprotected:
			return nil, ErrNotProtected
		case wire.TagCompressed, wire.TagLiteral, wire.TagOnePass, wire.TagSignature:
			return nil, ErrNotEncrypted
		default:
			return nil, ErrDamaged
		}
	}
	return nil, ErrDamaged
}

// unseal returns the content of an envelope, all of it authenticated. Which
// error it returns depends on whom the message names only, and so on nothing
// that was decrypted.
func (r *Keyring) unseal(e *envelope) ([]byte, error) {
	named, attempts := false, 0
	for _, session := range e.sessions {
		for _, key := range r.decryptionKeys() {
			mine := session.KeyId == key.KeyId
			if !mine && session.KeyId != 0 || attempts == mostAttempts {
				continue
			}
			named = named || mine
			attempts++
			if content, ok := e.openWith(session, key); ok {
				return content, nil
			}
		}
	}
	if named {
		return nil, ErrDamaged
	}
	return nil, ErrWrongKey
}

func (r *Keyring) decryptionKeys() []*packet.PrivateKey {
	var keys []*packet.PrivateKey
	for _, k := range r.keys {
		parts := slices.Clone(k.subkeys)
		if s := k.settled(time.Time{}, hasFlags); s == nil || forEncryption(s) {
			parts = append(parts, k.part)
		}
		for _, p := range parts {
			if p.secret != nil && p.public.PubKeyAlgo.CanEncrypt() {
				keys = append(keys, p.secret)
			}
		}
	}
	return keys
}

// openWith tries one private key on one session key.
func (e *envelope) openWith(session *packet.EncryptedKey, key *packet.PrivateKey) (content []byte, ok bool) {
	cipher, secret := packet.CipherAES256, make([]byte, sessionKeySize)
	if session.Decrypt(key, nil) == nil {
		cipher, secret = session.CipherFunc, session.Key
	} else {
		// Going on with any key takes the time a wrong one would: an early end
		// would tell whether the padding was right.
		rand.Read(secret)
	}
	parsed, err := e.data.Parse()
	if err != nil {
		return nil, false
	}
	decrypted, err := parsed.(packet.EncryptedDataPacket).Decrypt(cipher, secret)
	if err != nil {
		return nil, false
	}
	content, err = io.ReadAll(decrypted)
	if err != nil || decrypted.Close() != nil {
		return nil, false
	}
	return content, true
}
