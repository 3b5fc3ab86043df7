package encryptedenv

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/gpg"
)

// keyFile writes keys as the operator would.
func keyFile(t *testing.T, keys ...*gpg.Key) string {
	t.Helper()
	var text []byte
	for _, key := range keys {
		armored, err := key.ArmorSecret()
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, armored...)
	}
	return write(t, text)
}

func write(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	one, two, three, four := newKey(t, nil), newKey(t, nil), newKey(t, nil), newKey(t, nil)
	for n, keys := range [][]*gpg.Key{{one}, {one, two}, {one, two, three}} {
		ring, err := ReadKeys(keyFile(t, keys...))
		if err != nil || len(ring.Keys()) != n+1 {
			t.Errorf("%d keys: %v", n+1, err)
		}
	}
	if ring, err := ReadKeys(keyFile(t, one, one)); err != nil || len(ring.Keys()) != 1 {
		t.Errorf("the same key twice: %v", err)
	}

	public, err := one.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := two.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	signs := newKey(t, signing)
	for name, row := range map[string]struct{ path, want string }{
		"nothing there":       {filepath.Join(t.TempDir(), "none"), "check encryptedEnvKeyLocation"},
		"a directory":         {t.TempDir(), "is not a file; name the file"},
		"empty":               {write(t, nil), "there is no OpenPGP key"},
		"something else":      {write(t, []byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")), "there is no OpenPGP key"},
		"public":              {write(t, public), one.Fingerprint() + ": the private key is missing; export it"},
		"one public":          {write(t, append(public, secret...)), one.Fingerprint() + ": the private key is missing; export it"},
		"four":                {keyFile(t, one, two, three, four), "has 4 keys and may have 3; remove"},
		"for signatures only": {keyFile(t, signs), "it has no subkey for encryption; make a key that has one"},
		"huge":                {write(t, make([]byte, 1<<20+1)), "has more than 1024 KiB; leave only"},
		"cut":                 {write(t, secret[:len(secret)/2]), "cannot use the key"},
	} {
		ring, err := ReadKeys(row.path)
		if err == nil || ring != nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
	if _, err := ReadKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
