package cot

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/tooltest"
)

var build = Build{
	RootURL: "https://tc.example.com", Version: "1.2.3",
	Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Finished: time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC),
}

// TestFiles shows which files there are for which keys, in the order in which
// they are published.
func TestFiles(t *testing.T) {
	t.Parallel()
	raw, pgp := newKey(t), newOpenPGP(t)
	const text = " text/plain; charset=utf-8 true"
	for name, row := range map[string]struct {
		signer Signer
		want   []string
	}{
		"both": {Signer{raw, pgp}, []string{
			BodyName + text, SignatureName + " application/octet-stream false", ClearSignedName + text, ProvenanceName + " application/jsonl true",
		}},
		"ed25519": {Signer{Ed25519: raw}, []string{
			BodyName + text, SignatureName + " application/octet-stream false", ProvenanceName + " application/jsonl true",
		}},
		"OpenPGP": {Signer{OpenPGP: pgp}, []string{BodyName + text, ClearSignedName + text}},
	} {
		files, err := row.signer.Sign(sample(), build)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			got = append(got, fmt.Sprint(f.Name, " ", f.ContentType, " ", f.Gzip))
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestC6SameSignature signs again and again.
func TestC6SameSignature(t *testing.T) {
	t.Parallel()
	signer := Signer{Ed25519: newKey(t)}
	first, err := signer.Sign(sample(), build)
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(signer.Ed25519.Public(), first[0].Content, first[1].Content) || len(first[1].Content) != 64 {
		t.Error("the signature is not over the exact bytes")
	}
	for range 100 {
		again, err := signer.Sign(sample(), build)
		if err != nil {
			t.Fatal(err)
		}
		for i := range first {
			if !bytes.Equal(first[i].Content, again[i].Content) {
				t.Fatalf("%s: first\n%s\nthen\n%s", first[i].Name, first[i].Content, again[i].Content)
			}
		}
	}
}

// TestProvenance takes an envelope apart as a reader of DSSE and in-toto does.
func TestProvenance(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	files, err := Signer{Ed25519: key}.Sign(sample(), build)
	if err != nil {
		t.Fatal(err)
	}
	line := files[2].Content
	if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\n")) {
		t.Errorf("it is not one line: %q", line)
	}
	var dsse struct {
		PayloadType string
		Payload     []byte
		Signatures  []struct {
			KeyID string
			Sig   []byte
		}
	}
	if err := json.Unmarshal(line, &dsse); err != nil {
		t.Fatal(err)
	}
	signed := fmt.Sprintf("DSSEv1 28 application/vnd.in-toto+json %d %s", len(dsse.Payload), dsse.Payload)
	sum := sha256.Sum256(key.Public())
	if dsse.PayloadType != "application/vnd.in-toto+json" || len(dsse.Signatures) != 1 ||
		!ed25519.Verify(key.Public(), []byte(signed), dsse.Signatures[0].Sig) || dsse.Signatures[0].KeyID != hex.EncodeToString(sum[:]) {
		t.Errorf("the envelope is not signed: %s", line)
	}
	body := sha256.Sum256(files[0].Content)
	form, err := Canonical(sample().Task)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
	"_type": "https://in-toto.io/Statement/v1",
	"predicateType": "https://slsa.dev/provenance/v1",
	"subject": [
		{"name": "public/a", "digest": {"sha256": "` + zeros + `"}},
		{"name": "public/b", "digest": {"sha256": "` + zeros + `"}}
	],
	"predicate": {
		"buildDefinition": {
			"buildType": "https://github.com/taskcluster/generic-worker/chain-of-trust/v1",
			"externalParameters": {"task": ` + string(form) + `},
			"internalParameters": {"environment": {"engine": "insecure"}, "workerGroup": "eu", "workerId": "i-1"},
			"resolvedDependencies": [{"uri": "https://tc.example.com/tasks/Dep___________________"}]
		},
		"runDetails": {
			"builder": {"id": "https://tc.example.com/provisioners/proj/worker-types/ci", "version": {"generic-worker": "1.2.3"}},
			"metadata": {
				"invocationId": "https://tc.example.com/tasks/LnshJjNXTfeBlPNrAzyy9w/runs/3",
				"startedOn": "2026-01-02T03:04:05Z", "finishedOn": "2026-01-02T03:05:05Z"
			},
			"byproducts": [{"name": "public/chain-of-trust.json", "digest": {"sha256": "` + hex.EncodeToString(body[:]) + `"}}]
		}
	}}`
	canonical, err := Canonical([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(canonical), string(dsse.Payload)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPoolOfAnOldTask(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]string{
		{`{"provisionerId":"p","workerType":"w"}`, "/provisioners/p/worker-types/w"},
		{`{"provisionerId":"p","workerType":"w","taskQueueId":"x/y"}`, "/provisioners/x/worker-types/y"},
		{`{"workerType":"w"}`, "/provisioners//worker-types/w"},
		{`{"taskQueueId":"only"}`, "/provisioners//worker-types/"},
		{`{"provisionerId":"p","workerType":"w","taskQueueId":"x/y/z"}`, "/provisioners/x/worker-types/y/z"},
	} {
		text, want := row[0], row[1]
		task, err := read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := poolPath(task); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// TestOtherPrograms lets openssl and gpg verify.
func TestOtherPrograms(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "openssl", "gpg")
	dir := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), name, args...)
		c.Dir, c.Env = dir, append(os.Environ(), "GNUPGHOME="+dir)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	signer := Signer{Ed25519: newKey(t), OpenPGP: newOpenPGP(t)}
	c := sample()
	long := strings.Repeat("x", maxLine-100)
	c.Task = json.RawMessage(strings.Replace(definition, `"list"`, `"- dash": "- x", "From ": " ", "long": "`+long+`", "list"`, 1))
	files, err := signer.Sign(c, build)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Ed25519.Public())
	if err != nil {
		t.Fatal(err)
	}
	armored, err := signer.OpenPGP.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	write("key.asc", armored)
	write("body.json", files[0].Content)
	write("body.json.sig", files[1].Content)
	write("body.asc", files[2].Content)
	run("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-in", "body.json", "-sigfile", "body.json.sig")
	run("gpg", "--batch", "--import", "key.asc")
	run("gpg", "--batch", "--verify", "body.asc")
	run("gpg", "--batch", "--output", "decrypted", "--decrypt", "body.asc")
	decrypted, err := os.ReadFile(filepath.Join(dir, "decrypted"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(files[0].Content), strings.TrimSuffix(string(decrypted), "\n")); diff != "" {
		t.Errorf("gpg --decrypt (-body +gpg):\n%s", diff)
	}
}

// TestLongLines gives a definition a string that gpg would cut off.
func TestLongLines(t *testing.T) {
	t.Parallel()
	c := sample()
	c.Task = json.RawMessage(strings.Replace(definition, `"list"`, `"long": "`+strings.Repeat("x", maxLine)+`", "list"`, 1))
	pgp, raw := Signer{OpenPGP: newOpenPGP(t)}, Signer{Ed25519: newKey(t)}
	_, err := pgp.Sign(c, build)
	if ahead := pgp.Check(c.Task); !errors.Is(err, ErrLongLine) || !errors.Is(ahead, ErrLongLine) {
		t.Errorf("Sign returned %v, Check %v", err, ahead)
	}
	_, err = raw.Sign(c, build)
	if ahead := raw.Check(c.Task); err != nil || ahead != nil {
		t.Errorf("without OpenPGP Sign returned %v, Check %v", err, ahead)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a member twice":  `{"a":1,"a":2}`,
		"64 levels":       strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"too large":       `"` + strings.Repeat("\u00e9", maxDefinition/6+1) + `"`,
		"no JSON":         "x",
		"behind the list": "1] , [2",
	} {
		if err := (Signer{}).Check(json.RawMessage(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Signer{}).Check(json.RawMessage(definition)); err != nil {
		t.Error(err)
	}
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	file := string(key.File())
	if len(file) != 44 || strings.TrimSpace(file) != file {
		t.Errorf("the file is %q", file)
	}
	const seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	const public = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
	const both = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA=="
	want, err := ReadEd25519Public(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a seed": seed, "a line": seed + "\r\n", "seed and public key": both + "\n"} {
		got, err := ReadEd25519([]byte(text))
		if err != nil || !got.Public().Equal(want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again, err := ReadEd25519([]byte(file))
	if err != nil || !again.Public().Equal(key.Public()) {
		t.Errorf("what File wrote: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":              "",
		"31 bytes":             "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
		"no padding":           strings.TrimRight(seed, "="),
		"bits behind the end":  strings.Replace(seed, "8=", "9=", 1),
		"in hex":               strings.Repeat("00", 32),
		"another public half":  strings.Replace(both, "uA==", "uQ==", 1),
		"PEM":                  "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n",
		"a megabyte":           strings.Repeat("A", 1<<20),
		"two keys in one file": seed + "\n" + seed,
	} {
		if got, err := ReadEd25519([]byte(text)); err == nil || strings.Contains(err.Error(), "AAEC") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, text := range map[string]string{"zeros": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "short": "AA==", "no base64": "?"} {
		if got, err := ReadEd25519Public(text); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	secret := string(key.File())
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		for _, v := range []any{key, Signer{Ed25519: key}, &Signer{Ed25519: key}, map[string]any{"k": key}} {
			text := fmt.Sprintf(format, v)
			if strings.Contains(text, secret) || strings.Contains(text, hex.EncodeToString(key.private.Seed())) || strings.Contains(text, fmt.Sprint([]byte(key.private.Seed()))) {
				t.Errorf("%s prints %s", format, text)
			}
		}
	}
	if text, err := json.Marshal(Signer{Ed25519: key}); err != nil || !bytes.Contains(text, []byte(redacted)) {
		t.Errorf("as JSON it is %s, %v", text, err)
	}
}

func FuzzReadEd25519Public(f *testing.F) {
	f.Add("ebVWLo/mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ=")
	f.Add("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ReadEd25519Public(text); err == nil {
			if _, _, err := OpenEd25519([]byte("{}"), make([]byte, 64), []ed25519.PublicKey{key}); !errors.Is(err, ErrBadSignature) {
				t.Errorf("%q is read as a key with which anybody signs: %v", text, err)
			}
		}
	})
}

func FuzzReadEd25519(f *testing.F) {
	f.Add([]byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if key, err := ReadEd25519(file); err == nil {
			if again, err := ReadEd25519(key.File()); err != nil || !again.Public().Equal(key.Public()) {
				t.Errorf("%q is not read again: %v", file, err)
			}
		}
	})
}
