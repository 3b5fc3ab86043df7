package gpg_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

const certificate = "{\n  \"a\": \"b\",\n  \"c\": [\n    1\n  ]\n}"

// TestGnuPGVerifiesClearSigned wants exit status 0 and the same text.
func TestGnuPGVerifiesClearSigned(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	for _, k := range []*gpg.Key{newKey(t, nil), testKey(t, "rsa2048"), testKey(t, "curve25519")} {
		g.have(public(t, k))
		for _, text := range []string{"", "one", certificate, "- dashes\n-----BEGIN PGP SIGNATURE-----\nFrom me\n\n", strings.Repeat("x", 19000)} {
			file, err := k.ClearSign([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			out, report, status := g.Try(file, "--decrypt")
			if status != 0 || !strings.Contains(report, "GOODSIG") || !strings.Contains(report, "VALIDSIG "+k.Fingerprint()) {
				t.Errorf("%.50q: exit status %d\n%s", text, status, report)
			}
			if got := strings.TrimSuffix(string(out), "\n"); got != text {
				t.Errorf("gpg reads %.50q, want %.50q", got, text)
			}
			if _, report, status := g.Try(nil, "--verify", g.file("signed.asc", file)); status != 0 || strings.Contains(report, "BADARMOR") {
				t.Errorf("%.50q: gpg --verify: exit status %d\n%s", text, status, report)
			}
		}
	}
}

// TestOpensClearSignedOfGnuPG reads what gpg signs.
func TestOpensClearSignedOfGnuPG(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	for _, name := range keyNames {
		k := testKey(t, name)
		g.have(k)
		ring := gpg.NewKeyring(public(t, k))
		for _, hash := range []string{"SHA224", "SHA256", "SHA384", "SHA512"} {
			for _, text := range []string{"one\n", certificate + "\n", "-----BEGIN\n- x\n\nFrom me\n", "\n\n"} {
				file := g.Run([]byte(text), "--clear-sign", "--digest-algo", hash, "-u", k.Fingerprint())
				for what, file := range map[string][]byte{"LF": file, "CR LF": bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n"))} {
					got, signer, err := ring.OpenClearSigned(file, time.Now())
					if err != nil || string(got)+"\n" != text || signer.Fingerprint() != k.Fingerprint() {
						t.Errorf("%s %s %s %q: %q, %v, %v", name, hash, what, text, got, signer, err)
					}
				}
			}
		}
		for _, hash := range []string{"SHA1", "RIPEMD160", "MD5"} {
			file := g.Run([]byte("x\n"), "--clear-sign", "--digest-algo", hash, "--allow-weak-digest-algos", "-u", k.Fingerprint())
			if got, _, err := ring.OpenClearSigned(file, time.Now()); !errors.Is(err, gpg.ErrBadSignature) || got != nil {
				t.Errorf("%s %s: %q, %v", name, hash, got, err)
			}
		}
	}
}

func TestClearSignRefuses(t *testing.T) {
	t.Parallel()
	k := newKey(t, nil)
	for name, text := range map[string]string{
		"blank": "a \nb", "tab": "a\t", "carriage return": "a\r\nb", "form feed": "a\fb", "zero": "a\x00b", "delete": "\x7f", "escape": "\x1b[0m",
	} {
		if file, err := k.ClearSign([]byte(text)); err == nil {
			t.Errorf("%s: signed\n%s", name, file)
		}
	}
	if _, err := public(t, k).ClearSign([]byte("x")); !errors.Is(err, gpg.ErrNoSecret) {
		t.Errorf("with a public key: %v", err)
	}
	old := newKey(t, func(s *gpg.Spec) { s.Now, s.Lifetime = time.Now().Add(-time.Hour), time.Minute })
	if _, err := old.ClearSign([]byte("x")); !errors.Is(err, gpg.ErrExpired) {
		t.Errorf("with an expired key: %v", err)
	}
}

// editor changes a clear-signed file.
type editor struct {
	t    testing.TB
	key  *gpg.Key
	file string
}

// replaced replaces the first place where old is.
func (e editor) replaced(old, with string) string {
	e.t.Helper()
	if !strings.Contains(e.file, old) {
		e.t.Fatalf("there is no %q in\n%s", old, e.file)
	}
	return strings.Replace(e.file, old, with, 1)
}

// parts are what is before the armor of the signature, and the signature.
func (e editor) parts() (text string, signature []byte) {
	e.t.Helper()
	text, armored, _ := strings.Cut(e.file, "-----BEGIN PGP SIGNATURE-----\n\n")
	body, _, _ := strings.Cut(armored, "\n=")
	signature, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		e.t.Fatal(err)
	}
	return text, signature
}

// signedWith has another signature.
func (e editor) signedWith(packets ...[]byte) string {
	text, _ := e.parts()
	return text + "-----BEGIN PGP SIGNATURE-----\n\n" + base64.StdEncoding.EncodeToString(slices.Concat(packets...)) + "\n-----END PGP SIGNATURE-----\n"
}

// signature makes any signature of certificate.
func (e editor) signature(change func(*packet.Signature), text string) []byte {
	e.t.Helper()
	armored, err := e.key.ArmorSecret()
	if err != nil {
		e.t.Fatal(err)
	}
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil {
		e.t.Fatal(err)
	}
	signer := entities[0].PrivateKey
	s := &packet.Signature{
		Version: 4, SigType: packet.SigTypeText, PubKeyAlgo: signer.PubKeyAlgo, Hash: crypto.SHA512,
		CreationTime: time.Now(), IssuerKeyId: &signer.KeyId,
	}
	if change != nil {
		change(s)
	}
	h := s.Hash.New()
	h.Write([]byte(text))
	if err := s.Sign(h, signer, nil); err != nil {
		e.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Serialize(&b); err != nil {
		e.t.Fatal(err)
	}
	return b.Bytes()
}

const signedText = "one\n- two\nthree"

// TestC13 has clear-signed files with something in them that is not signed, or
// that programs read differently. All of them are refused.
func TestC13(t *testing.T) {
	t.Parallel()
	k := newKey(t, nil)
	file, err := k.ClearSign([]byte(signedText))
	if err != nil {
		t.Fatal(err)
	}
	e := editor{t, k, string(file)}
	text, signature := e.parts()
	canonical := strings.ReplaceAll(signedText, "\n", "\r\n")
	const hash, begin, end = "Hash: SHA512\n", "-----BEGIN PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----\n"
	ring := gpg.NewKeyring(public(t, k))
	for name, file := range map[string]string{
		"unchanged": e.file, "signature made again": e.signedWith(e.signature(nil, canonical)),
		"without the last line end": strings.TrimSuffix(e.file, "\n"), "without a checksum": e.signedWith(signature),
		"CR LF everywhere": strings.ReplaceAll(e.file, "\n", "\r\n"), "comment in the armor": e.replaced(begin, begin+"Comment: x\n"),
	} {
		got, signer, err := ring.OpenClearSigned([]byte(file), time.Now())
		if err != nil || string(got) != signedText || signer.Fingerprint() != k.Fingerprint() {
			t.Errorf("%s: %q, %v, %v", name, got, signer, err)
		}
	}
	for name, row := range map[string]struct {
		file string
		err  error
	}{
		"empty":                              {"", gpg.ErrNotClearSigned},
		"text before":                        {"x\n" + e.file, gpg.ErrNotClearSigned},
		"empty line before":                  {"\n" + e.file, gpg.ErrNotClearSigned},
		"byte order mark":                    {"\ufeff" + e.file, gpg.ErrNotClearSigned},
		"text after":                         {e.file + "x\n", gpg.ErrNotClearSigned},
		"empty line after":                   {e.file + "\n", gpg.ErrNotClearSigned},
		"zero after":                         {e.file + "\x00", gpg.ErrNotClearSigned},
		"two signed blocks":                  {e.file + e.file, gpg.ErrNotClearSigned},
		"text between text and signature":    {e.replaced(begin, "x\n"+begin), gpg.ErrBadSignature},
		"text in the armor":                  {e.replaced(begin, begin+"x\n"), gpg.ErrDamaged},
		"text in the body of the armor":      {e.replaced("\n=", "\nx y z\n="), gpg.ErrDamaged},
		"text behind the checksum":           {e.replaced("\n"+end, "\nAAAA\n"+end), gpg.ErrDamaged},
		"form feed at the end of a line":     {e.replaced("one\n", "one\f\n"), gpg.ErrNotClearSigned},
		"form feed in the header":            {e.replaced(hash, hash+"\f\n"), gpg.ErrNotClearSigned},
		"vertical tab":                       {e.replaced("one\n", "one\v\n"), gpg.ErrNotClearSigned},
		"zero in a line":                     {e.replaced("one\n", "one\x00evil\n"), gpg.ErrNotClearSigned},
		"NotDashEscaped header":              {e.replaced(hash, hash+"NotDashEscaped: You need GnuPG to verify this message\n"), gpg.ErrNotClearSigned},
		"foreign header":                     {e.replaced(hash, "Comment: x\n"+hash), gpg.ErrNotClearSigned},
		"Hash header absent":                 {e.replaced(hash, ""), gpg.ErrNotClearSigned},
		"Hash header MD5":                    {e.replaced("SHA512", "MD5"), gpg.ErrBadSignature},
		"Hash header SHA1":                   {e.replaced("SHA512", "SHA1"), gpg.ErrBadSignature},
		"Hash header of another hash":        {e.replaced("SHA512", "SHA256"), gpg.ErrBadSignature},
		"Hash header with two hashes":        {e.replaced("SHA512", "SHA512,SHA256"), gpg.ErrBadSignature},
		"Hash header in lower case":          {e.replaced("SHA512", "sha512"), gpg.ErrBadSignature},
		"two Hash headers":                   {e.replaced(hash, hash+hash), gpg.ErrNotClearSigned},
		"blank line instead of an empty one": {e.replaced("\n\none", "\n \none"), gpg.ErrNotClearSigned},
		"CR LF in one line":                  {e.replaced("one\n", "one\r\n"), gpg.ErrDamaged},
		"LF in one line of CR LF":            {strings.Replace(strings.ReplaceAll(e.file, "\n", "\r\n"), "one\r\n", "one\n", 1), gpg.ErrDamaged},
		"CR in a line":                       {e.replaced("one\n", "one\rtwo\n"), gpg.ErrDamaged},
		"CR at all ends of lines":            {strings.ReplaceAll(e.file, "\n", "\r"), gpg.ErrDamaged},
		"two CR at the end of a line":        {strings.Replace(strings.ReplaceAll(e.file, "\n", "\r\n"), "one\r\n", "one\r\r\n", 1), gpg.ErrDamaged},
		"blank at the end of a line":         {e.replaced("one\n", "one \n"), gpg.ErrNotClearSigned},
		"tab at the end of a line":           {e.replaced("one\n", "one\t\n"), gpg.ErrNotClearSigned},
		"needless dash escape":               {e.replaced("one\n", "- one\n"), gpg.ErrNotClearSigned},
		"missing dash escape":                {e.replaced("- - two", "- two"), gpg.ErrNotClearSigned},
		"double dash escape":                 {e.replaced("- - two", "- - - two"), gpg.ErrBadSignature},
		"dash without a blank":               {e.replaced("- - two", "-- two"), gpg.ErrNotClearSigned},
		"marker with blanks":                 {e.replaced("MESSAGE-----\n", "MESSAGE----- \n"), gpg.ErrNotClearSigned},
		"signed message in the text":         {e.replaced("one\n", "-----BEGIN PGP SIGNED MESSAGE-----\none\n"), gpg.ErrNotClearSigned},
		"armor with a lying checksum":        {e.replaced("\n=", "\n=AAAA\n="), gpg.ErrDamaged},
		"armor with another checksum":        {text + begin + "\n" + base64.StdEncoding.EncodeToString(signature) + "\n=AAAA\n" + end, gpg.ErrDamaged},
		"armor without an end":               {e.replaced(end, ""), gpg.ErrDamaged},
		"armor of a message":                 {strings.ReplaceAll(e.file, "PGP SIGNATURE", "PGP MESSAGE"), gpg.ErrNotClearSigned},
		"no signature":                       {text, gpg.ErrNotClearSigned},
		"empty signature":                    {e.signedWith(), gpg.ErrDamaged},
		"two signatures":                     {e.signedWith(signature, signature), gpg.ErrBadSignature},
		"something behind the signature":     {e.signedWith(signature, literal("x")), gpg.ErrBadSignature},
		"compressed signature":               {e.signedWith(deflated(signature)), gpg.ErrDamaged},
		"nested compressed data":             {e.signedWith(deflated(deflated(signature))), gpg.ErrDamaged},
		"one-pass signed message":            {e.signedWith(opaque(4, make([]byte, 13)), literal(signedText), signature), gpg.ErrDamaged},
		"embedded signature packet":          {e.signedWith(embedding(t, signature)), gpg.ErrBadSignature},
		"signature of another kind":          {e.signedWith(e.signature(func(s *packet.Signature) { s.SigType = packet.SigTypeBinary }, canonical)), gpg.ErrBadSignature},
		"signature of a user id":             {e.signedWith(e.signature(func(s *packet.Signature) { s.SigType = packet.SigTypeGenericCert }, canonical)), gpg.ErrBadSignature},
		"signature of the future":            {e.signedWith(e.signature(func(s *packet.Signature) { s.CreationTime = time.Now().Add(time.Hour) }, canonical)), gpg.ErrBadSignature},
		"signature older than the key":       {e.signedWith(e.signature(func(s *packet.Signature) { s.CreationTime = time.Now().Add(-time.Hour) }, canonical)), gpg.ErrBadSignature},
		"expired signature": {e.signedWith(e.signature(func(s *packet.Signature) {
			s.SigLifetimeSecs = new(uint32)
			*s.SigLifetimeSecs = 1
			s.CreationTime = k.Created()
		}, canonical)), nil},
		"critical notation": {e.signedWith(e.signature(func(s *packet.Signature) {
			s.Notations = []*packet.Notation{{Name: "x@example.com", Value: []byte("y"), IsCritical: true, IsHumanReadable: true}}
		}, canonical)), gpg.ErrBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := time.Now()
			if row.err == nil { // what has to expire first
				at, row.err = at.Add(time.Minute), gpg.ErrBadSignature
			}
			got, signer, err := ring.OpenClearSigned([]byte(row.file), at)
			if !errors.Is(err, row.err) || got != nil || signer != nil {
				t.Errorf("%q, %v, %v, want the error %v", got, signer, err, row.err)
			}
		})
	}
}

// embedding puts a second signature into the part of a signature that is not
// signed.
func embedding(t testing.TB, signature []byte) []byte {
	t.Helper()
	p, err := packet.NewOpaqueReader(bytes.NewReader(signature)).Next()
	if err != nil {
		t.Fatal(err)
	}
	body := p.Contents
	hashed := 6 + int(body[4])<<8 + int(body[5])
	if body[hashed] != 0 || body[hashed+1] != 0 {
		t.Fatal("the signature has parts that are not signed")
	}
	inner := slices.Clone(body)
	inner[1] = byte(packet.SigTypePrimaryKeyBinding)
	subpacket := slices.Concat([]byte{byte(len(inner) + 1), 32}, inner)
	if len(inner)+1 >= 192 {
		t.Fatalf("a signature of %d bytes", len(inner))
	}
	return opaque(2, slices.Concat(body[:hashed], []byte{byte(len(subpacket) >> 8), byte(len(subpacket))}, subpacket, body[hashed+2:]))
}

// TestC7 has signatures by keys that must not sign this.
func TestC7(t *testing.T) {
	t.Parallel()
	made := time.Now().Add(-48 * time.Hour)
	k := newKey(t, func(s *gpg.Spec) { s.Now, s.Lifetime = made, 72*time.Hour })
	file, err := k.ClearSign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, row := range map[string]struct {
		ring *gpg.Keyring
		at   time.Time
		err  error
	}{
		"fine":             {gpg.NewKeyring(k), now, nil},
		"unknown key":      {gpg.NewKeyring(newKey(t, nil)), now, gpg.ErrUnknownSigner},
		"empty ring":       {gpg.NewKeyring(), now, gpg.ErrUnknownSigner},
		"valid only later": {gpg.NewKeyring(k), made.Add(-time.Hour), gpg.ErrNotYetValid},
		"valid only then":  {gpg.NewKeyring(k), now.Add(72 * time.Hour), gpg.ErrExpired},
		"made afterwards":  {gpg.NewKeyring(k), made.Add(time.Hour), gpg.ErrBadSignature},
	} {
		if _, _, err := row.ring.OpenClearSigned(file, row.at); !errors.Is(err, row.err) {
			t.Errorf("%s: %v, want %v", name, err, row.err)
		}
	}
}

// TestC14 has several signatures: none of them counts, in whichever order.
func TestC14(t *testing.T) {
	t.Parallel()
	k, unknown := newKey(t, nil), newKey(t, nil)
	file, err := k.ClearSign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	e := editor{t, k, string(file)}
	_, good := e.parts()
	bad := editor{t, unknown, ""}.signature(nil, "x")
	for name, packets := range map[string][][]byte{
		"good and bad": {good, bad}, "bad and good": {bad, good}, "good twice": {good, good}, "bad": {bad},
	} {
		if text, _, err := gpg.NewKeyring(k).OpenClearSigned([]byte(e.signedWith(packets...)), time.Now()); err == nil {
			t.Errorf("%s: %q", name, text)
		}
		if _, err := gpg.NewKeyring(k).VerifyDetached([]byte("x"), slices.Concat(packets...), time.Now()); err == nil {
			t.Errorf("%s, detached: verified", name)
		}
	}
}

// TestC8 changes every bit of signatures, and cuts them off.
func TestC8(t *testing.T) {
	t.Parallel()
	k := newKey(t, nil)
	ring, data := gpg.NewKeyring(k), []byte("x")
	armored, err := k.SignDetached(data)
	if err != nil {
		t.Fatal(err)
	}
	_, signature := editor{t: t, file: string(armored)}.parts()
	if _, err := ring.VerifyDetached(data, signature, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.VerifyDetached([]byte("y"), signature, time.Now()); !errors.Is(err, gpg.ErrBadSignature) {
		t.Errorf("over other bytes: %v", err)
	}
	same := 0
	for bit := range 8 * len(signature) {
		changed := slices.Clone(signature)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := ring.VerifyDetached(data, changed, time.Now()); err == nil {
			same++
		}
	}
	// The two bytes of the hash that help to find mistakes, and the lengths of
	// the two numbers, as far as the numbers stay the same.
	if same > 32 {
		t.Errorf("%d of %d changes of one bit do not matter", same, 8*len(signature))
	}
	for n := range signature {
		if _, err := ring.VerifyDetached(data, signature[:n], time.Now()); err == nil {
			t.Errorf("the first %d of %d bytes verify", n, len(signature))
		}
	}
	zero := slices.Clone(signature)
	for i := len(zero) - 60; i < len(zero); i++ {
		zero[i] = 0
	}
	if _, err := ring.VerifyDetached(data, zero, time.Now()); !errors.Is(err, gpg.ErrBadSignature) {
		t.Errorf("all zero: %v", err)
	}
}

// TestGitTags verifies tags that git signs with gpg, and has git verify ours.
func TestGitTags(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "git")
	g := newGnuPG(t)
	k := testKey(t, "rsa2048")
	g.have(k)
	dir := t.TempDir()
	git := func(input []byte, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
		cmd.Env = append(g.Env(), "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=x", "GIT_AUTHOR_EMAIL=x@example.com", "GIT_COMMITTER_NAME=x", "GIT_COMMITTER_EMAIL=x@example.com")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
		}
		return out
	}
	git(nil, "init", "-q")
	git(nil, "commit", "-q", "--allow-empty", "-m", "one")
	git(nil, "tag", "-s", "-u", k.Fingerprint(), "-m", "theirs", "theirs")

	tag, signature := splitTag(t, git(nil, "cat-file", "tag", "theirs"))
	ring := gpg.NewKeyring(public(t, k))
	signer, err := ring.VerifyDetached(tag, signature, time.Now())
	if err != nil || signer.Fingerprint() != k.Fingerprint() {
		t.Errorf("the tag of git: %v, %v", signer, err)
	}
	if _, err := ring.VerifyDetached(append(tag, 'x'), signature, time.Now()); !errors.Is(err, gpg.ErrBadSignature) {
		t.Errorf("a changed tag: %v", err)
	}

	ours := bytes.ReplaceAll(tag, []byte("theirs"), []byte("ours"))
	signature, err = k.SignDetached(ours)
	if err != nil {
		t.Fatal(err)
	}
	object := git(slices.Concat(ours, signature), "hash-object", "-t", "tag", "-w", "--stdin")
	git(nil, "update-ref", "refs/tags/ours", strings.TrimSpace(string(object)))
	git(nil, "tag", "-v", "ours")
}

// splitTag splits a tag object before its signature.
func splitTag(t testing.TB, object []byte) (tag, signature []byte) {
	t.Helper()
	i := bytes.Index(object, []byte("-----BEGIN PGP SIGNATURE-----"))
	if i < 0 {
		t.Fatalf("the tag is not signed: %s", object)
	}
	return object[:i:i], object[i:]
}

// TestDetached verifies what gpg signs, and the reverse.
func TestDetached(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	data := []byte("one\ntwo\r\nthree \n")
	for _, name := range keyNames {
		k := testKey(t, name)
		g.have(k)
		ring := gpg.NewKeyring(public(t, k))
		for _, args := range []string{"--detach-sign", "--detach-sign --armor", "--detach-sign --textmode"} {
			signature := g.Run(data, append(strings.Fields(args), "-u", k.Fingerprint())...)
			signer, err := ring.VerifyDetached(data, signature, time.Now())
			if err != nil || signer.Fingerprint() != k.Fingerprint() {
				t.Errorf("%s %s: %v, %v", name, args, signer, err)
			}
		}
		for _, data := range []string{"", "x", string(data), strings.Repeat("\x00\xff", 1<<16)} {
			signature, err := k.SignDetached([]byte(data))
			if err != nil {
				t.Fatal(err)
			}
			if _, report, status := g.Try(nil, "--verify", g.file("signature", signature), g.file("data", []byte(data))); status != 0 {
				t.Errorf("%s: gpg --verify: exit status %d\n%s", name, status, report)
			}
		}
	}
}
