package gpg_test

import (
	"errors"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// newKey makes a key that is quick to make.
func newKey(t testing.TB, change func(*gpg.Spec)) *gpg.Key {
	t.Helper()
	spec := gpg.Spec{Name: "Test", Email: "test@example.com", Algorithm: gpg.Curve25519, Encryption: true}
	if change != nil {
		change(&spec)
	}
	k, err := gpg.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, k *gpg.Key) *gpg.Key {
	t.Helper()
	text, err := k.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	return read(t, text).Keys()[0]
}

func read(t testing.TB, data []byte) *gpg.Keyring {
	t.Helper()
	r, err := gpg.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, algorithm := range []gpg.Algorithm{gpg.Curve25519, gpg.RSA2048} {
		made := newKey(t, func(s *gpg.Spec) {
			s.Algorithm, s.Now, s.Lifetime, s.Comment = algorithm, now, 24*time.Hour, "a comment"
		})
		secret, err := made.ArmorSecret()
		if err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string]*gpg.Key{"made": made, "secret": read(t, secret).Keys()[0], "public": public(t, made)} {
			if k.Fingerprint() != made.Fingerprint() || len(k.Fingerprint()) != 40 {
				t.Errorf("%s %s: fingerprint %q", algorithm, name, k.Fingerprint())
			}
			if ids := k.Identities(); len(ids) != 1 || ids[0] != "Test (a comment) <test@example.com>" {
				t.Errorf("%s %s: identities %q", algorithm, name, ids)
			}
			if k.Secret() != (name != "public") {
				t.Errorf("%s %s: Secret() = %t", algorithm, name, k.Secret())
			}
			if !k.Created().Equal(now) || !k.Expires().Equal(now.Add(24*time.Hour)) {
				t.Errorf("%s %s: from %v to %v", algorithm, name, k.Created(), k.Expires())
			}
			for at, want := range map[time.Time]error{
				now.Add(-time.Second): gpg.ErrNotYetValid, now: nil,
				now.Add(24*time.Hour - time.Second): nil, now.Add(24 * time.Hour): gpg.ErrExpired,
			} {
				if err := k.ValidAt(at); !errors.Is(err, want) {
					t.Errorf("%s %s at %v: %v, want %v", algorithm, name, at, err, want)
				}
			}
		}
		if _, err := public(t, made).ArmorSecret(); !errors.Is(err, gpg.ErrNoSecret) {
			t.Errorf("the private part of a public key: %v", err)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]gpg.Spec{
		"no identity":       {Algorithm: gpg.Curve25519},
		"no algorithm":      {Name: "x"},
		"unknown algorithm": {Name: "x", Algorithm: "rsa512"},
		"brackets":          {Name: "x <y>", Algorithm: gpg.Curve25519},
		"line":              {Name: "x\ny", Algorithm: gpg.Curve25519},
		"negative lifetime": {Name: "x", Algorithm: gpg.Curve25519, Lifetime: -time.Hour},
		"endless lifetime":  {Name: "x", Algorithm: gpg.Curve25519, Lifetime: 200 * 365 * 24 * time.Hour},
	} {
		if k, err := gpg.Generate(spec); err == nil {
			t.Errorf("%s: made %v", name, k)
		}
	}
}

func TestEncryptDecrypt(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []gpg.Algorithm{gpg.Curve25519, gpg.RSA2048} {
		k := newKey(t, func(s *gpg.Spec) { s.Algorithm = algorithm })
		for _, size := range []int{0, 1, 511, 512, 5000, 40000} {
			plain := make([]byte, size)
			for i := range plain {
				plain[i] = byte(i)
			}
			message, err := public(t, k).Encrypt(plain)
			if err != nil {
				t.Fatal(err)
			}
			got, err := gpg.NewKeyring(k).Decrypt(message, 1<<18)
			if err != nil || string(got) != string(plain) {
				t.Errorf("%s, %d bytes: %d bytes, %v", algorithm, size, len(got), err)
			}
		}
	}
}

func TestClearSign(t *testing.T) {
	t.Parallel()
	k := newKey(t, nil)
	ring := gpg.NewKeyring(newKey(t, nil), public(t, k))
	for _, text := range []string{"", "\n", "\n\n", "one", "one\n", "-----BEGIN\n- x\n--\n", "{\n  \"a\": 1\n}", "From x\n\ny\n"} {
		file, err := k.ClearSign([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got, signer, err := ring.OpenClearSigned(file, time.Now())
		if err != nil || string(got) != text || signer.Fingerprint() != k.Fingerprint() {
			t.Errorf("%q: %q, %v, %v\n%s", text, got, signer, err, file)
		}
	}
}
