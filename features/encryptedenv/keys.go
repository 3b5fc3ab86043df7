package encryptedenv

import (
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/platform"
)

// maxKeys lets one key follow another: the newest, the one before, and one to
// spare.
const maxKeys = 3

// ReadKeys reads the worker's keys: a file with up to three OpenPGP keys, each
// with the private part of an encryption key and without a passphrase. The file
// must not be open to other users, which Windows does not tell. The error says
// what to change.
func ReadKeys(path string) (*gpg.Keyring, error) {
	data, err := platform.ReadPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key for encrypted variables; check encryptedEnvKeyLocation: %w", err)
	}
	ring, err := gpg.Read(data)
	if err == nil {
		err = usable(ring)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use the key for encrypted variables in %s: %w", path, err)
	}
	return ring, nil
}

// usable tells whether each of the keys decrypts what is encrypted to it.
func usable(ring *gpg.Keyring) error {
	keys := ring.Keys()
	if len(keys) > maxKeys {
		return fmt.Errorf("the file has %d keys and may have %d; remove those whose variables have run out", len(keys), maxKeys)
	}
	for _, key := range keys {
		if err := works(key); err != nil {
			return fmt.Errorf("key %s: %w", key.Fingerprint(), err)
		}
	}
	return nil
}

// works encrypts to the key and decrypts that. A key that has expired goes
// without: variables that were encrypted to it in its time may still come.
func works(key *gpg.Key) error {
	if !key.Secret() {
		return fmt.Errorf("%w; export it with gpg --export-secret-keys", gpg.ErrNoSecret)
	}
	if key.ValidAt(time.Now()) != nil {
		return nil
	}
	message, err := key.Encrypt([]byte("test"))
	if err != nil {
		return err
	}
	if _, err := gpg.NewKeyring(key).Decrypt(message, len("test")); err != nil {
		return fmt.Errorf("%w for encryption; export the key with all its subkeys (gpg --export-secret-keys)", gpg.ErrNoSecret)
	}
	return nil
}
