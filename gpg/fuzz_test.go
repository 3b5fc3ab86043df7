package gpg_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// FuzzRead reads anything; what it takes can be used, and is the same after
// having been written.
func FuzzRead(f *testing.F) {
	for _, name := range keyNames {
		k := testKey(f, name)
		text, err := k.ArmorPublic()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(dearmored(f, string(text)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := gpg.Read(data)
		if err != nil {
			return
		}
		now := time.Now()
		for _, k := range r.Keys() {
			_ = k.ValidAt(now)
			_, _ = r.Certifies(k, now)
			text, err := k.ArmorPublic()
			if err != nil {
				t.Fatal(err)
			}
			again, err := gpg.Read(text)
			if err != nil || again.Keys()[0].Fingerprint() != k.Fingerprint() || !again.Keys()[0].Expires().Equal(k.Expires()) {
				t.Fatalf("written and read again: %v\n%s", err, text)
			}
		}
	})
}

// FuzzDecrypt opens anything: it ends in one of a few errors, or in at most as
// much as is allowed.
func FuzzDecrypt(f *testing.F) {
	var keys []*gpg.Key
	for _, name := range keyNames {
		keys = append(keys, testKey(f, name))
		for _, row := range messages {
			message, err := os.ReadFile(vectorPath(name, row.name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(message, false)
		}
	}
	// With sealed set, data is what is in the message.
	f.Add(literal("x"), true)
	f.Add(deflated(deflated(literal("x"))), true)
	ring, recipient := gpg.NewKeyring(keys...), newSealer(f, keys[1]).key
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed {
			data = sealer{t, recipient}.seal(data, nil)
		}
		const limit = 1000
		plain, err := ring.Decrypt(data, limit)
		if err != nil && !isUniform(err) || err != nil && plain != nil || len(plain) > limit {
			t.Fatalf("%d bytes, %v", len(plain), err)
		}
	})
}

// FuzzOpenClearSigned changes a signed file: only the very text that was
// signed comes out.
func FuzzOpenClearSigned(f *testing.F) {
	k := testKey(f, "curve25519")
	for _, text := range []string{certificate, signedText} {
		file, err := os.ReadFile(filepath.Join("testdata", "signed", map[string]string{certificate: "certificate.asc", signedText: "dashes.asc"}[text]))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	ring := gpg.NewKeyring(k)
	f.Fuzz(func(t *testing.T, file []byte) {
		text, signer, err := ring.OpenClearSigned(file, time.Now())
		if err == nil && string(text) != certificate && string(text) != signedText {
			t.Fatalf("signed by %v: %q", signer, text)
		}
		if err != nil && (text != nil || signer != nil) {
			t.Fatalf("%v, and %q", err, text)
		}
	})
}
