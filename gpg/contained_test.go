package gpg

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

// TestPanics has a ring that makes everything panic that looks at its keys, as
// the library did over some inputs: it ends in an error.
func TestPanics(t *testing.T) {
	t.Parallel()
	k, err := Generate(Spec{Name: "x", Algorithm: Curve25519, Encryption: true})
	if err != nil {
		t.Fatal(err)
	}
	message, err := k.Encrypt([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := k.ClearSign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.SignDetached([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	broken := &Keyring{keys: []*Key{nil}}
	for name, use := range map[string]func() error{
		"Decrypt":         func() error { _, err := broken.Decrypt(message, 9); return err },
		"OpenClearSigned": func() error { _, _, err := broken.OpenClearSigned(file, time.Now()); return err },
		"VerifyDetached":  func() error { _, err := broken.VerifyDetached([]byte("x"), signature, time.Now()); return err },
		"Certifies":       func() error { _, err := broken.Certifies(k, time.Now()); return err },
	} {
		if err := use(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLargeKeys has keys that somebody has flooded.
func TestLargeKeys(t *testing.T) {
	t.Parallel()
	k, err := Generate(Spec{Name: "x", Algorithm: Curve25519})
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.NewBuffer(k.bytes(false))
	for range mostPackets {
		wire.Packet{Tag: wire.TagUserID, Body: []byte("y")}.Write(data)
	}
	if _, err := Read(data.Bytes()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}
