package gpg_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/gpg"
)

var update = flag.Bool("update", false, "make the messages in testdata again, with the gpg that is installed")

const secretText = `{"name":"TOKEN","value":"swordfish"}` + "\n"

// messages are the ways in which gpg writes messages. In args KEY stands for
// the recipient and OTHER for another key.
var messages = []struct {
	name string
	args string
	text string
	err  error // nil: it decrypts to text
}{
	{name: "default", args: "--encrypt -r KEY"},
	{name: "uncompressed", args: "--encrypt -z 0 -r KEY"},
	{name: "zip", args: "--encrypt --compress-algo zip -r KEY"},
	{name: "zlib", args: "--encrypt --compress-algo zlib -r KEY"},
	{name: "bzip2", args: "--encrypt --compress-algo bzip2 -r KEY"},
	{name: "text mode", args: "--encrypt --textmode -r KEY"},
	{name: "3DES", args: "--encrypt --cipher-algo 3DES -r KEY"},
	{name: "CAST5", args: "--encrypt --cipher-algo CAST5 -r KEY"},
	{name: "AES128", args: "--encrypt --cipher-algo AES -r KEY"},
	{name: "two recipients", args: "--encrypt -r OTHER -r KEY"},
	{name: "hidden recipient", args: "--encrypt -R KEY"},
	{name: "hidden recipients", args: "--encrypt -R OTHER -R KEY"},
	{name: "signed", args: "--sign --encrypt -u OTHER -r KEY"},
	{name: "in parts", args: "--encrypt -z 0 -r KEY", text: strings.Repeat(secretText, 1000)},
	{name: "key or passphrase", args: "--encrypt --symmetric --passphrase x -r KEY"},

	{name: "armored", args: "--armor --encrypt -r KEY", err: gpg.ErrArmored},
	{name: "unprotected", args: "--rfc2440 --encrypt -r KEY", err: gpg.ErrNotProtected},
	{name: "for another key", args: "--encrypt -r OTHER", err: gpg.ErrWrongKey},
	{name: "for another hidden key", args: "--encrypt -R OTHER", err: gpg.ErrWrongKey},
	{name: "passphrase", args: "--symmetric --passphrase x", err: gpg.ErrWrongKey},
	{name: "signed only", args: "--sign -u OTHER", err: gpg.ErrNotEncrypted},
	{name: "stored", args: "--store -z 0", err: gpg.ErrNotEncrypted},
	{name: "large when decompressed", args: "--encrypt -r KEY", text: strings.Repeat("0", 1<<18+1), err: gpg.ErrTooLarge},
	{name: "large when uncompressed", args: "--encrypt -z 0 -r KEY", text: strings.Repeat("0", 1<<16), err: gpg.ErrTooLarge},
}

// keyNames are the keys in testdata. They were made with gpg for these tests.
var keyNames = []string{"rsa2048", "curve25519"}

func testKey(t testing.TB, name string) *gpg.Key {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".asc"))
	if err != nil {
		t.Fatal(err)
	}
	return one(t, read(t, text))
}

// TestMessagesOfGnuPG decrypts what the installed gpg encrypts.
func TestMessagesOfGnuPG(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	other := newKey(t, nil)
	g.have(other)
	for _, name := range keyNames {
		k := testKey(t, name)
		g.have(public(t, k))
		for _, row := range messages {
			text := row.text
			if text == "" {
				text = secretText
			}
			args := strings.NewReplacer("KEY", k.Fingerprint(), "OTHER", other.Fingerprint()).Replace(row.args)
			message := g.Run([]byte(text), append([]string{"--trust-model", "always"}, strings.Fields(args)...)...)
			if *update {
				if err := os.WriteFile(vectorPath(name, row.name), message, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			checkMessage(t, k, name+" now: "+row.name, message, row.text, row.err)
		}
	}
}

func vectorPath(key, message string) string {
	return filepath.Join("testdata", "messages", key, strings.ReplaceAll(message, " ", "-")+".pgp")
}

// TestKeptMessages decrypts what gpg 2.2.40 encrypted.
func TestKeptMessages(t *testing.T) {
	t.Parallel()
	for _, name := range keyNames {
		k := testKey(t, name)
		for _, row := range messages {
			message, err := os.ReadFile(vectorPath(name, row.name))
			if err != nil {
				t.Fatal(err)
			}
			checkMessage(t, k, name+": "+row.name, message, row.text, row.err)
		}
	}
}

func checkMessage(t *testing.T, k *gpg.Key, name string, message []byte, want string, refused error) {
	t.Helper()
	if want == "" {
		want = secretText
	}
	// With other keys beside it, too: a worker's old and new one.
	for _, ring := range []*gpg.Keyring{gpg.NewKeyring(k), gpg.NewKeyring(newKey(t, nil), k, newKey(t, nil))} {
		plain, err := ring.Decrypt(message, 1<<18)
		switch {
		case refused != nil:
			if !errors.Is(err, refused) || plain != nil {
				t.Errorf("%s: %.20q, %v, want the error %v", name, plain, err, refused)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case string(plain) != want:
			t.Errorf("%s: %d bytes: %.50q, want %d: %.50q", name, len(plain), plain, len(want), want)
		}
	}
}

// TestGnuPGDecrypts has gpg read what is encrypted here, with keys from here
// and from there.
func TestGnuPGDecrypts(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	keys := []*gpg.Key{newKey(t, nil), newKey(t, func(s *gpg.Spec) { s.Algorithm = gpg.RSA2048 })}
	for _, name := range keyNames {
		keys = append(keys, testKey(t, name))
	}
	for _, k := range keys {
		g.have(k)
		for _, text := range []string{"", secretText, strings.Repeat(secretText, 1000)} {
			message, err := public(t, k).Encrypt([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if got := g.Run(message, "--decrypt"); string(got) != text {
				t.Errorf("%v: gpg reads %d bytes, want %d", k, len(got), len(text))
			}
		}
	}
}
