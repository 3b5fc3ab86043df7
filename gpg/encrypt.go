package gpg

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const sessionKeySize = 32 // of AES-256

// Encrypt returns one binary, integrity-protected message for this key, which
// has to be valid now. The error is ErrUnfit for a key that has no part for
// encryption.
func (k *Key) Encrypt(plain []byte) ([]byte, error) {
	message, err := k.encrypt(plain, time.Now())
	if err != nil {
		return nil, fmt.Errorf("cannot encrypt to key %s: %w", k.Fingerprint(), err)
	}
	return message, nil
}

func (k *Key) encrypt(plain []byte, now time.Time) ([]byte, error) {
	if err := k.ValidAt(now); err != nil {
		return nil, err
	}
	var recipient *packet.PublicKey
	for _, p := range k.partsFor(now, forEncryption) {
		if p.public.PubKeyAlgo.CanEncrypt() {
			recipient = p.public
			break
		}
	}
	if recipient == nil {
		return nil, fmt.Errorf("%w: it has no subkey for encryption; make a key that has one", ErrUnfit)
	}
	session := make([]byte, sessionKeySize)
	rand.Read(session) // it does not return without having filled it
	config := &packet.Config{DefaultCipher: packet.CipherAES256}
	var b bytes.Buffer
	if err := packet.SerializeEncryptedKey(&b, recipient, config.Cipher(), session, config); err != nil {
		return nil, err
	}
	protected, err := packet.SerializeSymmetricallyEncrypted(&b, config.Cipher(), false, packet.CipherSuite{}, session, config)
	if err != nil {
		return nil, err
	}
	literal, err := packet.SerializeLiteral(protected, true, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := literal.Write(plain); err != nil {
		return nil, err
	}
	if err := literal.Close(); err != nil { // closes protected, too
		return nil, err
	}
	return b.Bytes(), nil
}
