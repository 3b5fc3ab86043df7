package cot

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/gpg"
)

func newKey(t *testing.T) *Ed25519Key {
	t.Helper()
	key, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signed returns the encoded sample, its raw signature and the keys to trust.
func signed(t *testing.T) (body, signature []byte, keys []ed25519.PublicKey) {
	t.Helper()
	key := newKey(t)
	files, err := Signer{Ed25519: key}.Sign(sample(), Build{})
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Content, files[1].Content, []ed25519.PublicKey{newKey(t).Public(), key.Public()}
}

func TestOpenEd25519(t *testing.T) {
	t.Parallel()
	body, signature, keys := signed(t)
	got, by, err := OpenEd25519(body, signature, keys)
	if err != nil || by != 1 {
		t.Fatalf("key %d, %v", by, err)
	}
	want, err := Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-parsed +opened):\n%s", diff)
	}
}

// TestC8Signatures changes the signature, the bytes and the keys.
func TestC8Signatures(t *testing.T) {
	t.Parallel()
	body, signature, keys := signed(t)
	changed := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for name, row := range map[string]struct {
		body, signature []byte
		keys            []ed25519.PublicKey
		want            error
	}{
		"over other bytes":                   {changed(body, 20), signature, keys, ErrBadSignature},
		"over a byte less":                   {body[1:], signature, keys, ErrBadSignature},
		"over a newline more":                {append(bytes.Clone(body), '\n'), signature, keys, ErrBadSignature},
		"63 bytes":                           {body, signature[:63], keys, ErrBadSignature},
		"65 bytes":                           {body, append(bytes.Clone(signature), 0), keys, ErrBadSignature},
		"none":                               {body, nil, keys, ErrBadSignature},
		"in base64":                          {body, base64.StdEncoding.AppendEncode(nil, signature), keys, ErrBadSignature},
		"all zero":                           {body, make([]byte, 64), keys, ErrBadSignature},
		"another first half":                 {body, changed(signature, 0), keys, ErrBadSignature},
		"another second half":                {body, changed(signature, 40), keys, ErrBadSignature},
		"a second half that is not reduced":  {body, unreduced(signature), keys, ErrBadSignature},
		"by another key":                     {body, signature, keys[:1], ErrBadSignature},
		"no keys":                            {body, signature, nil, ErrNoKeys},
		"an empty key":                       {body, signature, append(slices.Clone(keys), nil), ErrWeakKey},
		"a short key":                        {body, signature, append(slices.Clone(keys), keys[0][:31]), ErrWeakKey},
		"a key of zeros behind the good one": {body, signature, append(slices.Clone(keys), make([]byte, 32)), ErrWeakKey},
		"17 MiB":                             {make([]byte, 17<<20), signature, keys, ErrMalformed},
	} {
		if got, _, err := OpenEd25519(row.body, row.signature, row.keys); !errors.Is(err, row.want) || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if _, _, err := OpenEd25519(body, signature, keys); err != nil {
		t.Error(err)
	}
}

// unreduced adds the order of the group to the second half of a signature, which
// fits the same equation.
func unreduced(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	half := bytes.Clone(signature[32:])
	slices.Reverse(half)
	sum := new(big.Int).Add(new(big.Int).SetBytes(half), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(bytes.Clone(signature[:32]), sum...)
}

// TestC8SmallOrderKeys forges a signature under every key of small order and
// shows that the library would take it.
func TestC8SmallOrderKeys(t *testing.T) {
	t.Parallel()
	forged := 0
	for _, y := range append(slices.Clone(smallOrder[:]),
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 0 in another form
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 1 in another form
	) {
		for _, sign := range []byte{0, 0x80} {
			key, err := hex.DecodeString(y)
			if err != nil {
				t.Fatal(err)
			}
			key[31] |= sign
			for i := range 64 { // one message in eight fits
				body := fmt.Appendf(nil, "%d", i)
				// R is the neutral element and S is zero: good if the key's multiple is neutral.
				signature := append([]byte{1}, make([]byte, 63)...)
				if ed25519.Verify(key, body, signature) {
					forged++
				}
				if _, _, err := OpenEd25519(body, signature, []ed25519.PublicKey{key}); !errors.Is(err, ErrWeakKey) {
					t.Fatalf("key %x: %v", key, err)
				}
			}
		}
	}
	if forged == 0 {
		t.Error("the library takes no forged signature: this test shows nothing")
	}
	for _, y := range smallOrder {
		if !isSmall(t, y) {
			t.Errorf("%s has no small order", y)
		}
	}
	for range 200 {
		if err := acceptable(newKey(t).Public()); err != nil {
			t.Error(err)
		}
	}
}

// isSmall doubles a point three times, in the curve's own equation:
// y of 2P is (y²+x²)/(2-(x²·d·y²+1)), which needs only y² and x² = (y²-1)/(dy²+1).
func isSmall(t *testing.T, encoded string) bool {
	t.Helper()
	b, err := hex.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(b)
	p := prime()
	mod := func(i *big.Int) *big.Int { return i.Mod(i, p) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	one := big.NewInt(1)
	d := mul(new(big.Int).Neg(big.NewInt(121665)), new(big.Int).ModInverse(big.NewInt(121666), p))
	y := new(big.Int).SetBytes(b)
	for range 3 {
		yy := mul(y, y)
		dyy := mul(d, yy)
		xx := mul(mod(new(big.Int).Sub(yy, one)), new(big.Int).ModInverse(mod(new(big.Int).Add(dyy, one)), p))
		below := mod(new(big.Int).Sub(one, mul(xx, dyy)))
		y = mul(mod(new(big.Int).Add(yy, xx)), new(big.Int).ModInverse(below, p))
	}
	return y.Cmp(one) == 0
}

// TestMutations changes one byte of what was signed, many times.
func TestMutations(t *testing.T) {
	t.Parallel()
	body, signature, keys := signed(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		file := bytes.Clone(body)
		file[random.IntN(len(file))] ^= 1 << random.IntN(8)
		if _, _, err := OpenEd25519(file, signature, keys); !errors.Is(err, ErrBadSignature) {
			t.Fatalf("got %v for\n%s", err, file)
		}
	}
}

func newOpenPGP(t *testing.T) *gpg.Key {
	t.Helper()
	key, err := gpg.Generate(gpg.Spec{Name: "worker", Email: "worker@example.com", Algorithm: gpg.Curve25519})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestOpenClearSigned(t *testing.T) {
	t.Parallel()
	key := newOpenPGP(t)
	files, err := Signer{OpenPGP: key}.Sign(sample(), Build{})
	if err != nil {
		t.Fatal(err)
	}
	file, now := files[1].Content, time.Now()
	keys := gpg.NewKeyring(newOpenPGP(t), key)
	got, by, err := OpenClearSigned(file, keys, now)
	if err != nil || by.Fingerprint() != key.Fingerprint() {
		t.Fatalf("key %v, %v", by, err)
	}
	want, err := Parse(files[0].Content)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-body +clear-signed):\n%s", diff)
	}
	for name, row := range map[string]struct {
		file []byte
		keys *gpg.Keyring
		want error
	}{
		"no keyring":       {file, nil, ErrNoKeys},
		"no keys":          {file, gpg.NewKeyring(), ErrNoKeys},
		"another key":      {file, gpg.NewKeyring(newOpenPGP(t)), gpg.ErrUnknownSigner},
		"text before it":   {append([]byte("x\n"), file...), keys, gpg.ErrNotClearSigned},
		"text behind it":   {append(bytes.Clone(file), "x\n"...), keys, gpg.ErrNotClearSigned},
		"another run":      {bytes.Replace(file, []byte(`"runId": 3`), []byte(`"runId": 4`), 1), keys, gpg.ErrBadSignature},
		"no certificate":   {clearSigned(t, key, "{}"), keys, ErrMalformed},
		"the body alone":   {files[0].Content, keys, gpg.ErrNotClearSigned},
		"more than 16 MiB": {make([]byte, MaxBytes+1), keys, ErrMalformed},
	} {
		if got, _, err := OpenClearSigned(row.file, row.keys, now); !errors.Is(err, row.want) || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if _, _, err := OpenClearSigned(file, keys, now.Add(-24*time.Hour)); !errors.Is(err, gpg.ErrNotYetValid) {
		t.Errorf("before the key was made: %v", err)
	}
}

func clearSigned(t *testing.T, key *gpg.Key, text string) []byte {
	t.Helper()
	file, err := key.ClearSign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func FuzzOpenEd25519(f *testing.F) {
	seed := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	private := ed25519.NewKeyFromSeed(seed)
	body := []byte(strings.TrimSpace(minimal))
	f.Add(body, ed25519.Sign(private, body), []byte(private.Public().(ed25519.PublicKey)))
	f.Add(body, make([]byte, 64), make([]byte, 32))
	f.Fuzz(func(t *testing.T, file, signature, key []byte) {
		c, by, err := OpenEd25519(file, signature, []ed25519.PublicKey{key})
		if err == nil && (c == nil || by != 0 || !ed25519.Verify(key, file, signature)) {
			t.Errorf("opened %q as %+v", file, c)
		}
	})
}

func FuzzOpenClearSigned(f *testing.F) {
	key, err := gpg.Generate(gpg.Spec{Name: "worker", Email: "worker@example.com", Algorithm: gpg.Curve25519})
	if err != nil {
		f.Fatal(err)
	}
	file, err := key.ClearSign([]byte(minimal))
	if err != nil {
		f.Fatal(err)
	}
	want, err := Parse([]byte(minimal))
	if err != nil {
		f.Fatal(err)
	}
	keys := gpg.NewKeyring(key)
	f.Add(file)
	f.Fuzz(func(t *testing.T, changed []byte) {
		c, _, err := OpenClearSigned(changed, keys, time.Now())
		if err == nil && !cmp.Equal(c, want) {
			t.Errorf("a file that nobody signed says %+v:\n%s", c, changed)
		}
	})
}
