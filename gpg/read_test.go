package gpg_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/gpg"
)

func fingerprints(r *gpg.Keyring) []string {
	var all []string
	for _, k := range r.Keys() {
		all = append(all, k.Fingerprint())
	}
	return all
}

func TestRead(t *testing.T) {
	t.Parallel()
	a, b := newKey(t, nil), newKey(t, func(s *gpg.Spec) { s.Name = "Other" })
	armored := func(k *gpg.Key) string {
		text, err := k.ArmorPublic()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first, second := armored(a), armored(b)
	both := []string{a.Fingerprint(), b.Fingerprint()}
	for name, row := range map[string]struct {
		text string
		want []string
		err  error
	}{
		"one":                      {first, both[:1], nil},
		"two blocks":               {first + second, both, nil},
		"in the other order":       {second + first, []string{both[1], both[0]}, nil},
		"the same twice":           {first + second + first, both, nil},
		"text around":              {"here\n\n" + first + "and here:\n" + second + "done", both, nil},
		"blanks at ends of lines":  {strings.ReplaceAll(first, "\n", " \t \n"), both[:1], nil},
		"CR LF":                    {strings.ReplaceAll(first, "\n", "\r\n"), both[:1], nil},
		"without an end of line":   {strings.TrimSpace(first), both[:1], nil},
		"without a checksum":       {withoutChecksum(first), both[:1], nil},
		"headers":                  {strings.Replace(first, "-----\n", "-----\nVersion: 1\nComment: x: y\n", 1), both[:1], nil},
		"binary":                   {string(dearmored(t, first)), both[:1], nil},
		"two, binary":              {string(dearmored(t, first)) + string(dearmored(t, second)), both, nil},
		"empty":                    {"", nil, gpg.ErrNoKey},
		"text":                     {"hello\n", nil, gpg.ErrNoKey},
		"a .kbx file":              {"\x00\x00\x00\x20\x01\x01\x00\x02KBXf", nil, gpg.ErrNoKey},
		"wrong checksum":           {strings.Replace(withoutChecksum(first), "-----END", "=AAAA\n-----END", 1), nil, gpg.ErrDamaged},
		"not base64":               {strings.Replace(first, "\n\n", "\n\n!", 1), nil, gpg.ErrDamaged},
		"cut off":                  {first[:len(first)/2], nil, gpg.ErrDamaged},
		"binary, cut off":          {string(dearmored(t, first)[:200]), nil, gpg.ErrDamaged},
		"second block cut off":     {first + second[:len(second)/2], nil, gpg.ErrDamaged},
		"the primary key alone":    {string(dearmored(t, first)[:53]), nil, gpg.ErrUnsupported},
		"a signature alone":        {string(opaque(2, []byte{4})), nil, gpg.ErrUnsupported},
		"another version":          {string(opaque(6, []byte{3, 0, 0, 0, 0, 0, 0, 1})), nil, gpg.ErrUnsupported},
		"a key of no algorithm":    {string(opaque(6, []byte{4, 0, 0, 0, 0, 99})), nil, gpg.ErrUnsupported},
		"a version of the future":  {string(opaque(6, []byte{9, 0, 0, 0, 0, 1})), nil, gpg.ErrUnsupported},
		"a byte behind the binary": {string(dearmored(t, first)) + "x", nil, gpg.ErrDamaged},
		"too large":                {strings.Repeat("x", 4<<20+1), nil, gpg.ErrTooLarge},
	} {
		r, err := gpg.Read([]byte(row.text))
		if !errors.Is(err, row.err) {
			t.Errorf("%s: %v, want %v", name, err, row.err)
		} else if err == nil {
			if diff := cmp.Diff(row.want, fingerprints(r)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func withoutChecksum(text string) string {
	before, after, _ := strings.Cut(text, "\n=")
	return before + "\n" + after[5:]
}

func dearmored(t testing.TB, text string) []byte {
	t.Helper()
	_, data := editor{t: t, file: strings.ReplaceAll(text, "PUBLIC KEY BLOCK", "SIGNATURE")}.parts()
	return data
}

func TestFind(t *testing.T) {
	t.Parallel()
	a, b := newKey(t, nil), newKey(t, nil)
	r := gpg.NewKeyring(a, b)
	full := b.Fingerprint()
	for _, name := range []string{full, strings.ToLower(full), "0x" + full, full[:20] + "  " + full[20:], full[24:], "0x" + strings.ToLower(full[24:])} {
		if k, ok := r.Find(name); !ok || k.Fingerprint() != full {
			t.Errorf("%s: %v, %t", name, k, ok)
		}
	}
	for _, name := range []string{"", "x", full[32:], full[1:], full[:16], strings.Repeat("0", 40), strings.Repeat("0", 16)} {
		if k, ok := r.Find(name); ok {
			t.Errorf("%q finds %v", name, k)
		}
	}
}

// TestReadsGnuPG reads what gpg exports, and gpg reads what is written here.
func TestReadsGnuPG(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	var want []string
	for _, algorithm := range []string{"rsa2048", "dsa2048", "nistp256", "brainpoolP256r1", "ed25519", "future-default"} {
		want = append(want, g.newKey(algorithm+" <x@example.com>", algorithm, "1y"))
	}
	slices.Sort(want)
	for _, args := range []string{"--export", "--export --armor", "--export-secret-keys", "--export-secret-keys --armor"} {
		r := read(t, g.Run(nil, strings.Fields(args)...))
		got := fingerprints(r)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", args, diff)
		}
		for _, k := range r.Keys() {
			if strings.Contains(args, "armor") {
				checkKey(t, g, k, strings.Contains(args, "secret"))
			}
		}
	}
	// The old form of a file of keys, which has packets of its own.
	ring := filepath.Join(g.Home, "old.gpg")
	g.Run(g.Run(nil, "--export"), "--no-default-keyring", "--keyring", "gnupg-ring:"+ring, "--import")
	old, err := os.ReadFile(ring)
	if err != nil {
		t.Fatal(err)
	}
	if got := fingerprints(read(t, old)); len(got) != len(want) {
		t.Errorf("the old form has %d keys, want %d", len(got), len(want))
	}
}

func checkKey(t *testing.T, g *gnupg, k *gpg.Key, secret bool) {
	t.Helper()
	if k.Secret() != secret || k.ValidAt(time.Now()) != nil || k.Expires().Sub(k.Created()).Round(time.Hour) != 365*24*time.Hour {
		t.Errorf("%v: private: %t, from %v to %v, %v", k, k.Secret(), k.Created(), k.Expires(), k.ValidAt(time.Now()))
	}
	text, err := k.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	fresh := newGnuPG(t)
	fresh.Run(text, "--import")
	if got, want := fresh.listed(k), g.listed(k); got != want {
		t.Errorf("gpg shows\n%s\nwant\n%s", got, want)
	}
	if !secret {
		return
	}
	fresh.have(k)
	file := fresh.Run([]byte("x\n"), "--clear-sign", "-u", k.Fingerprint())
	if _, _, err := gpg.NewKeyring(k).OpenClearSigned(file, time.Now()); err != nil {
		t.Errorf("%v: %v", k, err)
	}
	file, err = k.ClearSign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	fresh.Run(file, "--verify")
}

// listed is what gpg says about a key, except for what it computes.
func (g *gnupg) listed(k *gpg.Key) string {
	g.t.Helper()
	var lines []string
	for line := range strings.Lines(string(g.Run(nil, "--with-colons", "--check-sigs", k.Fingerprint()))) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if fields[0] == "tru" {
			continue
		}
		if fields[0] != "sig" {
			fields[1], fields[8] = "", ""
		}
		lines = append(lines, strings.Join(fields, ":"))
	}
	return strings.Join(lines, "\n")
}

// TestGnuPGTakesGenerated has gpg import, use and export keys made here.
func TestGnuPGTakesGenerated(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []gpg.Algorithm{gpg.Curve25519, gpg.RSA2048} {
		for _, encryption := range []bool{false, true} {
			g := newGnuPG(t)
			k := newKey(t, func(s *gpg.Spec) { s.Algorithm, s.Encryption, s.Lifetime = algorithm, encryption, 30*24*time.Hour })
			g.have(k)
			listed := string(g.Run(nil, "--with-colons", "--list-secret-keys"))
			if got := strings.Count(listed, "\nssb:"); got != map[bool]int{true: 1}[encryption] {
				t.Errorf("%s: %d subkeys\n%s", algorithm, got, listed)
			}
			if got := g.exported(k.Fingerprint()); !got.Expires().Equal(k.Expires()) || got.Identities()[0] != k.Identities()[0] {
				t.Errorf("%s: gpg exports %v, which expires %v", algorithm, got, got.Expires())
			}
			file := g.Run([]byte("x\n"), "--clear-sign", "-u", k.Fingerprint())
			if _, _, err := gpg.NewKeyring(k).OpenClearSigned(file, time.Now()); err != nil {
				t.Errorf("%s: %v", algorithm, err)
			}
			if !encryption {
				continue
			}
			message := g.Run([]byte("x"), "--trust-model", "always", "--encrypt", "-r", k.Fingerprint())
			if plain, err := gpg.NewKeyring(k).Decrypt(message, 9); string(plain) != "x" || err != nil {
				t.Errorf("%s: %q, %v", algorithm, plain, err)
			}
		}
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	fingerprint := g.Make("--passphrase", "secret", "--quick-generate-key", "x <x@example.com>", "future-default", "default", "never")
	key := g.Run(nil, "--passphrase", "secret", "--armor", "--export-secret-keys", fingerprint)
	r, err := gpg.Read(key)
	if !errors.Is(err, gpg.ErrLocked) || r != nil || !strings.Contains(err.Error(), "--edit-key "+fingerprint+" passwd") {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := gpg.Read(g.Run(nil, "--export", fingerprint)); err != nil {
		t.Errorf("the public part: %v", err)
	}
}

// TestSubkeysOnly has the private part of the primary key elsewhere.
func TestSubkeysOnly(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	fingerprint := g.newKey("x <x@example.com>", "future-default", "never")
	k := one(t, read(t, g.Run(nil, "--export-secret-subkeys", fingerprint)))
	if !k.Secret() {
		t.Error("there is a private part")
	}
	message, err := k.Encrypt([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := gpg.NewKeyring(k).Decrypt(message, 9); string(plain) != "x" || err != nil {
		t.Errorf("%q, %v", plain, err)
	}
	if _, err := k.ClearSign([]byte("x")); !errors.Is(err, gpg.ErrNoSecret) {
		t.Errorf("signing without the primary key: %v", err)
	}
	if _, err := k.Certify(newKey(t, nil), time.Now()); !errors.Is(err, gpg.ErrNoSecret) {
		t.Errorf("certifying without the primary key: %v", err)
	}
	full := g.exported(fingerprint)
	for name, r := range map[string]*gpg.Keyring{"full last": gpg.NewKeyring(k, full), "full first": gpg.NewKeyring(full, public(t, k), k)} {
		if _, err := one(t, r).ClearSign([]byte("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text, err := one(t, r).ArmorSecret()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one(t, read(t, text)).ClearSign([]byte("x")); err != nil {
			t.Errorf("%s, written and read: %v", name, err)
		}
	}
}

// TestMerge has copies of one key of different times.
func TestMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 240*time.Hour)
	exported := func() *gpg.Key {
		t.Helper()
		w.Now = time.Time{}
		return one(t, read(t, w.Run(nil, "--export", w.host)))
	}
	fresh := exported()
	certified(w)
	known := exported()
	w.at(2, "--quick-set-expire", w.host, "60d")
	extended := exported()
	w.at(3, "--quick-add-uid", w.host, "second <second@example.com>")
	named := exported()
	w.revoke(4, w.host)
	revoked := exported()

	for name, row := range map[string]struct {
		copies  []*gpg.Key
		expires time.Time
		ids     int
		valid   error // on day 12
	}{
		"the first copy":           {[]*gpg.Key{fresh}, day(10), 1, gpg.ErrExpired},
		"then the second":          {[]*gpg.Key{fresh, known}, day(10), 1, gpg.ErrExpired},
		"extended":                 {[]*gpg.Key{fresh, extended}, day(62), 1, nil},
		"extended first":           {[]*gpg.Key{extended, fresh}, day(62), 1, nil},
		"another user id":          {[]*gpg.Key{fresh, named, fresh}, day(62), 2, nil},
		"revoked":                  {[]*gpg.Key{revoked, fresh, extended}, day(62), 2, gpg.ErrRevoked},
		"revoked in the last copy": {[]*gpg.Key{fresh, revoked}, day(62), 2, gpg.ErrRevoked},
	} {
		k := one(t, gpg.NewKeyring(row.copies...))
		if !k.Expires().Equal(row.expires) || len(k.Identities()) != row.ids || !errors.Is(k.ValidAt(day(12)), row.valid) {
			t.Errorf("%s: expires %v, %q, %v", name, k.Expires(), k.Identities(), k.ValidAt(day(12)))
		}
		at, is := k.Revoked()
		if want := errors.Is(row.valid, gpg.ErrRevoked); is != want || want && !at.Equal(day(4)) {
			t.Errorf("%s: revoked: %v, %t", name, at, is)
		}
		if !errors.Is(k.ValidAt(day(-1)), gpg.ErrNotYetValid) && !errors.Is(k.ValidAt(day(-1)), gpg.ErrRevoked) {
			t.Errorf("%s: before it was made: %v", name, k.ValidAt(day(-1)))
		}
	}
	trusted := one(t, read(t, w.Run(nil, "--export", w.trusted)))
	merged := one(t, gpg.NewKeyring(fresh).Merge(gpg.NewKeyring(known)))
	if by, err := gpg.NewKeyring(trusted).Certifies(merged, day(5)); err != nil || by.Fingerprint() != w.trusted {
		t.Errorf("the certification of one copy: %v, %v", by, err)
	}
	if _, err := gpg.NewKeyring(trusted).Certifies(fresh, day(5)); !errors.Is(err, gpg.ErrNotCertified) {
		t.Errorf("merging changed a copy: %v", err)
	}
}

// TestRevocationInOneOfTwoEqualUserIDs has a file that lists a user id twice:
// the copies are one.
func TestRevocationInOneOfTwoEqualUserIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	before := w.Run(nil, "--export", w.host)
	w.lose(3, w.host, "host")
	w.Now = time.Time{}
	after := w.Run(nil, "--export", w.host)
	i := bytes.Index(before, []byte("host <"))
	users := before[i-2:]
	for name, data := range map[string][]byte{"appended": slices.Concat(after, users), "merged": slices.Concat(after, before)} {
		k := one(t, read(t, data))
		if err := k.ValidAt(day(10)); !errors.Is(err, gpg.ErrRevoked) || len(k.Identities()) != 1 {
			t.Errorf("%s: %q, %v", name, k.Identities(), err)
		}
	}
}

// TestCertify has gpg judge certifications made here.
func TestCertify(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	by := newKey(t, func(s *gpg.Spec) { s.Now = start })
	g.have(by)
	subject := g.newKey("host <host@example.com>", "future-default", "never")
	g.Run(nil, "--quick-add-uid", subject, "second <second@example.com>")
	g.Run(nil, "--quick-add-uid", subject, "third <third@example.com>")
	g.Run(nil, "--quick-revoke-uid", subject, "third <third@example.com>")
	certified, err := by.Certify(one(t, read(t, g.Run(nil, "--export", subject))), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.have(certified)
	listed := string(g.Run(nil, "--with-colons", "--check-sigs", subject))
	id := by.Fingerprint()[24:]
	good := 0
	for line := range strings.Lines(listed) {
		if fields := strings.Split(line, ":"); fields[0] == "sig" && fields[1] == "!" && fields[4] == id && fields[10] == "10x" {
			good++
		}
	}
	if good != 2 {
		t.Errorf("%d good certifications, want 2\n%s", good, listed)
	}
	text, err := certified.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	if who, err := gpg.NewKeyring(by).Certifies(one(t, read(t, text)), time.Now()); err != nil || who.Fingerprint() != by.Fingerprint() {
		t.Errorf("%v, %v", who, err)
	}
	if _, err := gpg.NewKeyring(certified).Certifies(certified, time.Now()); !errors.Is(err, gpg.ErrNotCertified) {
		t.Errorf("by itself: %v", err)
	}
	if _, err := gpg.NewKeyring().Certifies(certified, time.Now()); !errors.Is(err, gpg.ErrNotCertified) {
		t.Errorf("by nobody: %v", err)
	}
	if _, err := gpg.NewKeyring(by).Certifies(certified, time.Now().Add(-time.Hour)); err == nil {
		t.Error("before it was made")
	}
	if _, err := public(t, by).Certify(certified, time.Now()); !errors.Is(err, gpg.ErrNoSecret) {
		t.Errorf("with a public key: %v", err)
	}
}
