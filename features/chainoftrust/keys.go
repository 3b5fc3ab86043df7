package chainoftrust

import (
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/platform"
)

// ReadKeys reads the keys that the configuration names. The files must belong to
// the worker's user or to the administrator, and must not be open to others,
// which Windows does not tell. The OpenPGP file has one key, with the private part
// and without a passphrase. The error says what to change.
func (c *Config) ReadKeys() error {
	if c.Ed25519Location != "" {
		key, err := readEd25519(c.Ed25519Location)
		if err != nil {
			return fmt.Errorf("cannot use the signing key of ed25519SigningKeyLocation: %w", err)
		}
		c.Keys.Ed25519 = key
	}
	if c.OpenPGPLocation != "" {
		key, err := readOpenPGP(c.OpenPGPLocation)
		if err != nil {
			return fmt.Errorf("cannot use the signing key of openpgpSigningKeyLocation: %w", err)
		}
		c.Keys.OpenPGP = key
	}
	return nil
}

func readEd25519(path string) (*cot.Ed25519Key, error) {
	data, err := platform.ReadPrivate(path)
	if err != nil {
		return nil, err
	}
	key, err := cot.ReadEd25519(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func readOpenPGP(path string) (*gpg.Key, error) {
	data, err := platform.ReadPrivate(path)
	if err != nil {
		return nil, err
	}
	ring, err := gpg.Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	keys := ring.Keys()
	if len(keys) != 1 {
		return nil, fmt.Errorf("%s: there are %d keys in it; export the one of the worker alone", path, len(keys))
	}
	return keys[0], signs(keys[0])
}

// signs tells whether a key signs and its signatures are good.
func signs(key *gpg.Key) error {
	file, err := key.ClearSign([]byte("test"))
	if err == nil {
		_, _, err = gpg.NewKeyring(key).OpenClearSigned(file, time.Now())
	}
	if err != nil {
		return fmt.Errorf("key %s: %w", key.Fingerprint(), err)
	}
	return nil
}
