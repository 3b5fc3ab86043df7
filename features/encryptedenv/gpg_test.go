package encryptedenv

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

var update = flag.Bool("update", false, "write the golden files")

// gnupg is a home directory of the gpg program.
type gnupg struct{ *tooltest.GnuPG }

func newGnuPG(t *testing.T) gnupg {
	t.Helper()
	return gnupg{tooltest.NewGnuPG(t)}
}

func (g gnupg) run(in string, args ...string) []byte {
	return g.Run([]byte(in), append([]string{"--trust-model", "always"}, args...)...)
}

// key makes a key with a subkey for encryption and returns its secret part.
func (g gnupg) key(name, algorithm string) []byte {
	fingerprint := g.Make("--quick-generate-key", name, algorithm, "default", "never")
	if strings.HasPrefix(algorithm, "rsa") {
		g.run("", "--quick-add-key", fingerprint, algorithm, "encr", "never")
	}
	return g.run("", "--armor", "--export-secret-keys", name)
}

// encryptions are the ways of gpg that work, by the options they take.
func encryptions() map[string][]string {
	return map[string][]string{
		"default":          {"-r", "pool"},
		"uncompressed":     {"-r", "pool", "--compress-algo", "none"},
		"zip":              {"-r", "pool", "--compress-algo", "zip"},
		"zlib":             {"-r", "pool", "--compress-algo", "zlib"},
		"bzip2":            {"-r", "pool", "--compress-algo", "bzip2"},
		"3DES":             {"-r", "pool", "--cipher-algo", "3DES"},
		"CAST5":            {"-r", "pool", "--cipher-algo", "CAST5"},
		"text mode":        {"-r", "pool", "--textmode"},
		"two recipients":   {"-r", "someone", "-r", "pool"},
		"hidden recipient": {"-R", "pool"},
		"signed":           {"-r", "pool", "--sign", "-u", "someone"},
	}
}

// TestGPG takes what gpg makes, with RSA and with Curve25519.
func TestGPG(t *testing.T) {
	t.Parallel()
	archive := &txtar.Archive{Comment: []byte("Keys and items made by gpg 2.2; go test -run TestGPG -update writes this anew.\n")}
	for _, algorithm := range []string{"rsa2048", "future-default"} {
		g := newGnuPG(t)
		secret := g.key("pool", algorithm)
		g.key("someone", "future-default")
		ring, err := ReadKeys(write(t, secret))
		if err != nil {
			t.Fatal(err)
		}
		f := newFeature(ring.Keys()...)
		archive.Files = append(archive.Files, txtar.File{Name: algorithm + "/secret.asc", Data: secret})
		ways := encryptions()
		for _, name := range slices.Sorted(maps.Keys(ways)) {
			message := g.run(fields{}.String(), append(ways[name], "--encrypt")...)
			text := base64.StdEncoding.EncodeToString(message)
			if got := accepted(t, f, text)["TOKEN"]; got != hunter {
				t.Errorf("%s, %s: got another value", algorithm, name)
			}
			archive.Files = append(archive.Files, txtar.File{Name: algorithm + "/" + name, Data: []byte(text + "\n")})
		}
		for name, row := range map[string]struct {
			args []string
			want string
		}{
			"armored":         {[]string{"-r", "pool", "--armor"}, "is a message in ASCII armor"},
			"not protected":   {[]string{"-r", "pool", "--rfc2440"}, "is a message that is not integrity-protected"},
			"other recipient": {[]string{"-r", "someone"}, "is not encrypted to the key of this pool"},
			"hidden other":    {[]string{"-R", "someone"}, "is not encrypted to the key of this pool"},
		} {
			message := g.run(fields{}.String(), append(row.args, "--encrypt")...)
			if got := refused(t, f, base64.StdEncoding.EncodeToString(message)); !strings.Contains(got, row.want) {
				t.Errorf("%s, %s: %s", algorithm, name, got)
			}
		}
		for name, message := range map[string][]byte{
			"signed only": g.run(fields{}.String(), "--sign", "-u", "someone"),
			"passphrase":  g.run(fields{}.String(), "--passphrase", "x", "--symmetric"),
		} {
			if got := refused(t, f, base64.StdEncoding.EncodeToString(message)); !strings.Contains(got, "is ") {
				t.Errorf("%s, %s: %s", algorithm, name, got)
			}
		}
	}
	if *update {
		if err := os.WriteFile("testdata/gpg.txtar", txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLockedKey: a key that needs a passphrase is of no use to a worker.
func TestLockedKey(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	g.run("", "--passphrase", "secret", "--quick-generate-key", "pool", "future-default", "default", "never")
	locked := g.run("", "--passphrase", "secret", "--armor", "--export-secret-keys", "pool")
	if _, err := ReadKeys(write(t, locked)); err == nil || !strings.Contains(err.Error(), "needs a passphrase") || !strings.Contains(err.Error(), "remove it") {
		t.Error(err)
	}
}

// TestVectors reads the committed items of gpg and of openpgp.js.
func TestVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	items := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f *Feature
		for _, part := range archive.Files {
			if strings.HasSuffix(part.Name, "/secret.asc") {
				ring, err := ReadKeys(write(t, part.Data))
				if err != nil {
					t.Fatal(err)
				}
				f = newFeature(ring.Keys()...)
				continue
			}
			items++
			if got := accepted(t, f, string(part.Data))["TOKEN"]; got != hunter {
				t.Errorf("%s %s: got another value", file, part.Name)
			}
		}
	}
	if items < 25 {
		t.Errorf("only %d items", items)
	}
}

// TestSealIsReadByGPG is the other direction.
func TestSealIsReadByGPG(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	for _, algorithm := range []string{"rsa2048", "future-default"} {
		ring, err := gpg.Read(g.key(algorithm, algorithm))
		if err != nil {
			t.Fatal(err)
		}
		one, err := Seal(ring.Keys()[0], good())
		if err != nil {
			t.Fatal(err)
		}
		message, err := base64.StdEncoding.DecodeString(one)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := parse(g.run(string(message), "--decrypt")); err != nil || m != good() {
			t.Errorf("%s: gpg reads something else: %v", algorithm, err)
		}
	}
}

// TestE6Bombs: what is small and becomes large is refused at once.
func TestE6Bombs(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	padded := func(n int) string { return fields{}.String() + strings.Repeat(" ", n-len(fields{}.String())) }
	zeros := make([]byte, 64<<20)
	for name, row := range map[string]struct {
		content []byte
		want    string
	}{
		"compressed to the limit":  {compressed(literal([]byte(padded(maxPlain)))), ""},
		"compressed over it":       {compressed(literal([]byte(padded(maxPlain + 1)))), "too large"},
		"64 MiB of zeros":          {compressed(literal(zeros)), "too large"},
		"64 MiB of packets":        {compressed(zeros), "too large"},
		"compressed twice":         {compressed(compressed(literal([]byte(padded(1000))))), ""},
		"compressed three times":   {compressed(compressed(compressed(literal([]byte(padded(1000)))))), "too large"},
		"64 MiB, compressed twice": {compressed(compressed(literal(zeros))), "too large"},
		"two literals":             {append(literal([]byte(padded(1000))), literal([]byte(padded(1000)))...), "trailing data"},
		"nothing":                  {nil, "cannot be decrypted"},
	} {
		message := envelope(t, pool(t), row.content)
		if len(message) > maxMessage {
			// It is refused before it is decrypted, whatever it is.
			if got := refused(t, f, base64.StdEncoding.EncodeToString(message)); !strings.Contains(got, "and may have 65536") && !strings.Contains(got, "128 KiB of text") {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		begun := time.Now()
		_, err := f.open(base64.StdEncoding.EncodeToString(message))
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
	long := seal(t, pool(t), padded(maxMessage))
	if got := refused(t, f, long); !strings.Contains(got, "is a message of 65") || !strings.Contains(got, "and may have 65536") {
		t.Errorf("a long literal: %s", got)
	}
	if got := refused(t, f, strings.Repeat("A", maxText+1)); !strings.Contains(got, "has more than 128 KiB of text") {
		t.Errorf("a long text: %s", got)
	}
}

// literal is a packet with a text.
func literal(text []byte) []byte {
	return packetOf(11, append([]byte{'b', 0, 0, 0, 0, 0}, text...))
}

// compressed is a packet with others in zlib.
func compressed(packets []byte) []byte {
	out := bytes.NewBuffer([]byte{2})
	z := zlib.NewWriter(out)
	z.Write(packets)
	z.Close()
	return packetOf(8, out.Bytes())
}

func packetOf(tag byte, body []byte) []byte {
	n := len(body)
	return append([]byte{0xc0 | tag, 255, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

// envelope encrypts packets to the key, whatever they are.
func envelope(t *testing.T, key *gpg.Key, packets []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	session := make([]byte, 32)
	config := &packet.Config{DefaultCipher: packet.CipherAES256}
	if err := packet.SerializeEncryptedKey(&b, recipient(t, key), packet.CipherAES256, session, config); err != nil {
		t.Fatal(err)
	}
	w, err := packet.SerializeSymmetricallyEncrypted(&b, packet.CipherAES256, false, packet.CipherSuite{}, session, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(packets); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// recipient is the subkey for encryption.
func recipient(t *testing.T, key *gpg.Key) *packet.PublicKey {
	t.Helper()
	armored, err := key.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	entities, err := readArmored(armored)
	if err != nil || len(entities) != 1 || len(entities[0].Subkeys) != 1 {
		t.Fatal(fmt.Errorf("no subkey: %w", err))
	}
	return entities[0].Subkeys[0].PublicKey
}
