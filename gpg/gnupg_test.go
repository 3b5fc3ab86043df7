package gpg_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// gnupg is the real gpg with a home of its own.
type gnupg struct {
	*tooltest.GnuPG
	t testing.TB
}

func newGnuPG(t testing.TB) *gnupg {
	t.Helper()
	return &gnupg{tooltest.NewGnuPG(t), t}
}

// newKey makes a key in the home and returns its fingerprint.
func (g *gnupg) newKey(identity, algorithm, expires string) string {
	g.t.Helper()
	return g.Make("--quick-generate-key", identity, algorithm, "default", expires)
}

// exported is the key as gpg writes it.
func (g *gnupg) exported(fingerprint string) *gpg.Key {
	g.t.Helper()
	return one(g.t, read(g.t, g.Run(nil, "--armor", "--export-secret-keys", fingerprint)))
}

// have brings keys into the home.
func (g *gnupg) have(keys ...*gpg.Key) {
	g.t.Helper()
	for _, k := range keys {
		text, err := k.ArmorPublic()
		if k.Secret() {
			text, err = k.ArmorSecret()
		}
		if err != nil {
			g.t.Fatal(err)
		}
		g.Run(text, "--import")
	}
}

func one(t testing.TB, r *gpg.Keyring) *gpg.Key {
	t.Helper()
	if len(r.Keys()) != 1 {
		t.Fatalf("%d keys, want one", len(r.Keys()))
	}
	return r.Keys()[0]
}

// file writes data where gpg can read it.
func (g *gnupg) file(name string, data []byte) string {
	g.t.Helper()
	path := filepath.Join(g.Home, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}
