package gpg_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg"
)

// uniform are all errors that Decrypt may return, and their texts are all that
// it may say.
var uniform = []error{
	gpg.ErrArmored, gpg.ErrDamaged, gpg.ErrNotEncrypted, gpg.ErrNotProtected,
	gpg.ErrTooLarge, gpg.ErrTrailing, gpg.ErrWrongKey,
}

func isUniform(err error) bool { return slices.Contains(uniform, err) }

// sealer writes messages that no program writes.
type sealer struct {
	t   testing.TB
	key *packet.PublicKey
}

func newSealer(t testing.TB, k *gpg.Key) sealer {
	t.Helper()
	text, err := k.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	key, ok := entities[0].EncryptionKey(time.Now())
	if !ok {
		t.Fatal("no key for encryption")
	}
	return sealer{t, key.PublicKey}
}

// seal encrypts packets as they are.
func (s sealer) seal(content []byte, config *packet.Config) []byte {
	s.t.Helper()
	session := bytes.Repeat([]byte{7}, 32)
	suite := packet.CipherSuite{Cipher: packet.CipherAES256, Mode: packet.AEADModeOCB}
	aead := config != nil && config.AEADConfig != nil
	var b bytes.Buffer
	err := packet.SerializeEncryptedKeyAEAD(&b, s.key, packet.CipherAES256, aead, session, config)
	if err != nil {
		s.t.Fatal(err)
	}
	w, err := packet.SerializeSymmetricallyEncrypted(&b, packet.CipherAES256, aead, suite, session, config)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		s.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	return b.Bytes()
}

func opaque(tag uint8, body []byte) []byte {
	var b bytes.Buffer
	if err := (&packet.OpaquePacket{Tag: tag, Contents: body}).Serialize(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func literal(text string) []byte { return opaque(11, append([]byte("b\x00\x00\x00\x00\x00"), text...)) }

// deflated is a compressed packet.
func deflated(content []byte) []byte {
	var b bytes.Buffer
	b.WriteByte(1)
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write(content)
	_ = w.Close()
	return opaque(8, b.Bytes())
}

// TestE4 changes every bit of messages, cuts them off everywhere and puts
// something behind them: nothing but the right text comes out.
func TestE4(t *testing.T) {
	t.Parallel()
	for _, name := range keyNames {
		k := testKey(t, name)
		ring := gpg.NewKeyring(k)
		ours, err := k.Encrypt([]byte(secretText))
		if err != nil {
			t.Fatal(err)
		}
		messages := map[string][]byte{
			"ours": ours,
			"aead": newSealer(t, k).seal(literal(secretText), &packet.Config{AEADConfig: &packet.AEADConfig{}}),
		}
		for _, message := range []string{"default", "uncompressed", "hidden recipient"} {
			if messages[message], err = os.ReadFile(vectorPath(name, message)); err != nil {
				t.Fatal(err)
			}
		}
		if name == "rsa2048" { // one is enough: its key is slow
			messages = map[string][]byte{"default": messages["default"]}
		}
		for what, message := range messages {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				e4(t, ring, message)
			})
		}
	}
}

func e4(t *testing.T, ring *gpg.Keyring, message []byte) {
	if plain, err := ring.Decrypt(message, 1000); string(plain) != secretText || err != nil {
		t.Fatalf("unchanged: %q, %v", plain, err)
	}
	// Whom the message names, and nothing else, decides which error it is.
	want := gpg.ErrDamaged
	if bytes.Equal(message[3:11], make([]byte, 8)) || bytes.Equal(message[4:12], make([]byte, 8)) {
		want = gpg.ErrWrongKey
	}
	for from := len(message) - 20; from < len(message); from++ {
		changed := slices.Clone(message)
		changed[from] ^= 0x10
		if _, err := ring.Decrypt(changed, 1000); err != want { //nolint:errorlint // the whole text is compared
			t.Errorf("byte %d: %v, want %v", from, err, want)
		}
	}
	same := 0
	for bit := range 8 * len(message) {
		changed := slices.Clone(message)
		changed[bit/8] ^= 1 << (bit % 8)
		plain, err := ring.Decrypt(changed, 1000)
		switch {
		case err == nil && string(plain) == secretText:
			same++
		case err == nil || plain != nil || !isUniform(err):
			t.Errorf("bit %d: %q, %v", bit, plain, err)
		}
	}
	t.Logf("%d of %d changes of one bit do not matter", same, 8*len(message))
	if same > 64 {
		t.Errorf("%d changes of one bit do not matter", same)
	}
	for n := range message {
		if plain, err := ring.Decrypt(message[:n], 1000); err == nil || plain != nil || !isUniform(err) {
			t.Errorf("the first %d of %d bytes: %q, %v", n, len(message), plain, err)
		}
	}
	for what, trailing := range map[string][]byte{
		"itself": message, "a literal": literal("x"), "a zero": {0}, "a line end": {'\n'}, "a marker": opaque(10, []byte("PGP")),
	} {
		if plain, err := ring.Decrypt(slices.Concat(message, trailing), 1000); !errors.Is(err, gpg.ErrTrailing) || plain != nil {
			t.Errorf("with %s behind it: %q, %v", what, plain, err)
		}
	}
}

// TestE5 has the wrong keys.
func TestE5(t *testing.T) {
	t.Parallel()
	a, b, c, stranger := newKey(t, nil), newKey(t, nil), newKey(t, nil), newKey(t, nil)
	workers := gpg.NewKeyring(a, b, c)
	for i, k := range []*gpg.Key{a, b, c} {
		message, err := k.Encrypt([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := workers.Decrypt(message, 10); string(plain) != "x" || err != nil {
			t.Errorf("key %d: %q, %v", i, plain, err)
		}
	}
	message, err := stranger.Encrypt([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for what, ring := range map[string]*gpg.Keyring{
		"other keys": workers, "no keys": gpg.NewKeyring(), "only its public key": gpg.NewKeyring(public(t, stranger)),
	} {
		if plain, err := ring.Decrypt(message, 10); err != gpg.ErrWrongKey || plain != nil { //nolint:errorlint // the whole text is compared
			t.Errorf("%s: %q, %v", what, plain, err)
		}
	}
	// An expired key still opens what was encrypted to it.
	old := newKey(t, func(s *gpg.Spec) { s.Now, s.Lifetime = time.Now().Add(-time.Hour), time.Minute })
	if _, err := old.Encrypt([]byte("x")); !errors.Is(err, gpg.ErrExpired) {
		t.Errorf("encrypting to an expired key: %v", err)
	}
	if _, err := newKey(t, func(s *gpg.Spec) { s.Encryption = false }).Encrypt([]byte("x")); !errors.Is(err, gpg.ErrUnfit) {
		t.Errorf("encrypting to a key for signing: %v", err)
	}
}

// TestE6 has messages that grow.
func TestE6(t *testing.T) {
	t.Parallel()
	k := newKey(t, nil)
	s := newSealer(t, k)
	own := s.seal(literal("1234"), nil)
	stranger, err := packet.NewOpaqueReader(bytes.NewReader(newSealer(t, newKey(t, nil)).seal(nil, nil))).Next()
	if err != nil {
		t.Fatal(err)
	}
	clear(stranger.Contents[1:9]) // does not say for whom it is
	hidden := opaque(stranger.Tag, stranger.Contents)
	once := func(text string) []byte { return deflated(literal(text)) }
	for _, row := range []struct {
		name    string
		message []byte
		limit   int
		err     error
	}{
		{"at the limit", s.seal(literal("1234"), nil), 4, nil},
		{"beyond the limit", s.seal(literal("12345"), nil), 4, gpg.ErrTooLarge},
		{"compressed, at the limit", s.seal(once("1234"), nil), 4, nil},
		{"compressed, beyond the limit", s.seal(once("12345"), nil), 4, gpg.ErrTooLarge},
		{"compressed twice", s.seal(deflated(once("1234")), nil), 4, nil},
		{"compressed three times", s.seal(deflated(deflated(once("1234"))), nil), 4, gpg.ErrTooLarge},
		{"bomb", s.seal(once(strings.Repeat("\x00", 4<<20)), nil), 1 << 18, gpg.ErrTooLarge},
		{"bomb in a bomb", s.seal(deflated(once(strings.Repeat("\x00", 8<<20))), nil), 1 << 18, gpg.ErrTooLarge},
		{"many bombs", s.seal(bytes.Repeat(once(strings.Repeat("\x00", 1<<18)), 100), nil), 1 << 18, gpg.ErrTrailing},
		{"large message", make([]byte, 64<<10+1), 1 << 18, gpg.ErrTooLarge},
		{"large literal", s.seal(literal(strings.Repeat("x", 64<<10)), nil), 1 << 18, gpg.ErrTooLarge},
		{"two texts", s.seal(slices.Concat(literal("1"), literal("2")), nil), 4, gpg.ErrTrailing},
		{"two compressed texts", s.seal(slices.Concat(once("1"), once("2")), nil), 4, gpg.ErrTrailing},
		{"hidden recipients", slices.Concat(bytes.Repeat(hidden, 31), own), 4, nil},
		{"too many hidden recipients", slices.Concat(bytes.Repeat(hidden, 32), own), 4, gpg.ErrWrongKey},
		{"no text", s.seal(opaque(10, []byte("PGP")), nil), 4, gpg.ErrDamaged},
		{"nothing", s.seal(nil, nil), 4, gpg.ErrDamaged},
		{"a message in a message", s.seal(s.seal(literal("1"), nil), nil), 4, gpg.ErrDamaged},
		{"padding", s.seal(slices.Concat(literal("1234"), opaque(21, make([]byte, 99))), nil), 4, nil},
		{"short literal", s.seal(opaque(11, []byte("b\x09\x00\x00\x00\x00")), nil), 4, gpg.ErrDamaged},
		{"unknown compression", s.seal(opaque(8, []byte{9, 1, 2}), nil), 4, gpg.ErrDamaged},
		{"empty compression", s.seal(opaque(8, nil), nil), 4, gpg.ErrDamaged},
		{"broken compression", s.seal(opaque(8, []byte{2, 0x78, 0x9c, 1, 2, 3}), nil), 4, gpg.ErrDamaged},
	} {
		start := time.Now()
		plain, err := gpg.NewKeyring(k).Decrypt(row.message, row.limit)
		if err != row.err || err == nil && string(plain) != "1234" || err != nil && plain != nil { //nolint:errorlint // the whole text is compared
			t.Errorf("%s: %.20q, %v, want the error %v", row.name, plain, err, row.err)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s takes %v", row.name, took)
		}
	}
}

// TestDraftProtection reads the packet that GnuPG 2.3 writes in place of the
// one of the standard.
func TestDraftProtection(t *testing.T) {
	t.Parallel()
	k := newKey(t, nil)
	ring := gpg.NewKeyring(k)
	for tag, want := range map[uint8]error{9: gpg.ErrNotProtected, 20: gpg.ErrDamaged} {
		message := newSealer(t, k).seal(literal("x"), nil)
		p := packet.NewOpaqueReader(bytes.NewReader(message))
		session, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Concat(opaque(session.Tag, session.Contents), opaque(tag, data.Contents))
		if plain, err := ring.Decrypt(changed, 10); err != want || plain != nil { //nolint:errorlint // the whole text is compared
			t.Errorf("tag %d: %q, %v, want %v", tag, plain, err, want)
		}
	}
}
