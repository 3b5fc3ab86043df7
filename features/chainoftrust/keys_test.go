package chainoftrust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

func TestReadKeys(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	secret, err := config.Keys.OpenPGP.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	public, err := config.Keys.OpenPGP.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	expired, err := gpg.Generate(gpg.Spec{Name: "old", Algorithm: gpg.Curve25519, Now: time.Now().Add(-48 * time.Hour), Lifetime: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	old, err := expired.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	raw := config.Keys.Ed25519.File()
	path := func(content []byte) string {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := Config{Ed25519Location: path(raw), OpenPGPLocation: path(secret)}
	if err := c.ReadKeys(); err != nil {
		t.Fatal(err)
	}
	if !c.Keys.Ed25519.Public().Equal(config.Keys.Ed25519.Public()) || c.Keys.OpenPGP.Fingerprint() != config.Keys.OpenPGP.Fingerprint() {
		t.Error("other keys were read")
	}
	if c := (Config{}); c.ReadKeys() != nil || c.Keys.Ed25519 != nil || c.Keys.OpenPGP != nil {
		t.Error("without files there are keys")
	}
	for how, c := range map[string]Config{
		"no ed25519 file":       {Ed25519Location: filepath.Join(t.TempDir(), "key")},
		"no OpenPGP file":       {OpenPGPLocation: filepath.Join(t.TempDir(), "key")},
		"an empty file":         {Ed25519Location: path(nil)},
		"a directory":           {Ed25519Location: t.TempDir()},
		"a large file":          {Ed25519Location: path(make([]byte, 1<<20+1))},
		"an OpenPGP key as raw": {Ed25519Location: path(secret)},
		"a raw key as OpenPGP":  {OpenPGPLocation: path(raw)},
		"only the public part":  {OpenPGPLocation: path(public)},
		"two OpenPGP keys":      {OpenPGPLocation: path(append(secret, old...))},
		"a key that expired":    {OpenPGPLocation: path(old)},
	} {
		err := c.ReadKeys()
		named := "ed25519SigningKeyLocation"
		if c.OpenPGPLocation != "" {
			named = "openpgpSigningKeyLocation"
		}
		if err == nil || !strings.Contains(err.Error(), named) || strings.Contains(err.Error(), string(raw)) {
			t.Errorf("%s: %v", how, err)
		}
	}
}
