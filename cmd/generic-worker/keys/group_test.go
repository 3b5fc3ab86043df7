package keys

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
)

// generated makes keys for hosts in a folder.
func generated(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = folder(t)
	code, _, said := run(t, generateCommand(), "", append([]string{"--user", "worker", "--dir", dir, "--algorithm", "curve25519"}, args...)...)
	if code != exit.Done {
		t.Fatalf("exit code %d: %s", code, said)
	}
	return dir
}

// folder is one that only its owner can change, whatever the umask.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args []string
		life time.Duration
	}{
		"as it is": {nil, 730 * 24 * time.Hour},
		"RSA":      {[]string{"--algorithm", "rsa4096"}, 730 * 24 * time.Hour},
		"for ever": {[]string{"--valid", "0d"}, 0},
		"hours":    {[]string{"--valid", "36h"}, 36 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := generated(t, append(row.args, "host-1.example.com", "host-2")...)
			for short, user := range map[string]string{"host-1": "host-1 <worker@host-1.example.com>", "host-2": "host-2 <worker@host-2>"} {
				secret, open := read(t, filepath.Join(dir, short+".sec")), read(t, filepath.Join(dir, short+".pub"))
				if !secret.Secret() || open.Secret() || secret.Fingerprint() != open.Fingerprint() || open.Identities()[0] != user {
					t.Errorf("%v, %v", secret, open)
				}
				if end := open.Expires(); end.IsZero() != (row.life == 0) || row.life != 0 && end.Sub(open.Created()) != row.life {
					t.Errorf("valid from %v until %v", open.Created(), end)
				}
			}
		})
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	dir := generated(t, "there.example.com")
	for name, row := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no host":         {[]string{"--user", "u"}, exit.Usage, "at least 1 arg"},
		"no user":         {[]string{"host"}, exit.Usage, "--user"},
		"a user with @":   {[]string{"--user", "u@h", "host"}, exit.Usage, "--user"},
		"no name":         {[]string{"--user", "u", "../host"}, exit.Usage, "not the name of a host"},
		"an empty part":   {[]string{"--user", "u", "host..com"}, exit.Usage, "not the name of a host"},
		"the same twice":  {[]string{"--user", "u", "host.a", "host.b"}, exit.Usage, "the same files"},
		"algorithm":       {[]string{"--user", "u", "--algorithm", "dsa", "host"}, exit.Usage, "rsa4096 or curve25519"},
		"length of time":  {[]string{"--user", "u", "--valid", "2y", "host"}, exit.Usage, "30d or 720h"},
		"public is there": {[]string{"--user", "u", "--dir", dir, "there"}, exit.NoOpenPGPPair, "is there already"},
		"no directory":    {[]string{"--user", "u", "--dir", filepath.Join(dir, "x"), "--algorithm", "curve25519", "host"}, exit.NoOpenPGPPair, "no such file"},
	} {
		code, out, said := run(t, generateCommand(), "", row.args...)
		if code != row.code || out != "" || !strings.Contains(said, row.says) {
			t.Errorf("%s: exit code %d: %s %s", name, code, out, said)
		}
	}
	if err := os.Remove(filepath.Join(dir, "there.pub")); err != nil {
		t.Fatal(err)
	}
	code, _, said := run(t, generateCommand(), "", "--user", "u", "--dir", dir, "--algorithm", "curve25519", "there")
	if code != exit.NoOpenPGPPair || !strings.Contains(said, "is there already") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestCertify(t *testing.T) {
	t.Parallel()
	dir := generated(t, "anna", "host-1", "host-2")
	path := func(name string) string { return filepath.Join(dir, name) }
	code, out, said := run(t, certifyCommand(), "", "--by", path("anna.sec"), path("host-1.pub"), path("host-2.pub"))
	if code != exit.Done || strings.Count(out, "certified: ") != 2 {
		t.Fatalf("exit code %d: %s %s", code, out, said)
	}
	anna := gpg.NewKeyring(read(t, path("anna.pub")))
	for _, name := range []string{"host-1.pub", "host-2.pub"} {
		if _, err := anna.Certifies(read(t, path(name)), time.Now()); err != nil {
			t.Error(err)
		}
	}
	before := text(t, path("host-1.pub"))
	if code, out, _ := run(t, certifyCommand(), "", "--by", path("anna.sec"), path("host-1.pub")); code != exit.Done || !strings.HasPrefix(out, "already certified: ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	secret := text(t, path("host-1.sec"))
	for name, row := range map[string]struct {
		args []string
		says string
	}{
		"nobody":          {[]string{path("host-1.pub")}, "--by FILE"},
		"a public key":    {[]string{"--by", path("anna.pub"), path("host-1.pub")}, "one private key is needed"},
		"a private key":   {[]string{"--by", path("anna.sec"), path("host-1.sec")}, "would be lost"},
		"nothing":         {[]string{"--by", path("anna.sec"), path("nothing")}, "no such file"},
		"no key to write": {[]string{"--by", path("anna.sec")}, "at least 1 arg"},
	} {
		if code, _, said := run(t, certifyCommand(), "", row.args...); code != exit.Usage || !strings.Contains(said, row.says) {
			t.Errorf("%s: exit code %d: %s", name, code, said)
		}
	}
	if !bytes.Equal(before, text(t, path("host-1.pub"))) || !bytes.Equal(secret, text(t, path("host-1.sec"))) {
		t.Error("a file was changed")
	}
	if left, err := filepath.Glob(path("*.pub.*")); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
}

func text(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestListAndCheck: what is printed of keys in files.
func TestListAndCheck(t *testing.T) {
	t.Parallel()
	dir := generated(t, "--valid", "40d", "soon")
	other := generated(t, "--valid", "0d", "never")
	soon, never := filepath.Join(dir, "soon.pub"), filepath.Join(other, "never.sec")
	code, out, said := run(t, listCommand(), "", "--json", soon, never)
	var rows []row
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != exit.Done || len(rows) != 2 {
		t.Fatalf("exit code %d: %v: %s %s", code, err, out, said)
	}
	if r := rows[0]; !r.Valid || r.Private || r.ValidUntil == nil || r.ValidUntil.Sub(r.Created) != 40*24*time.Hour || r.UserIDs[0] != "soon <worker@soon>" {
		t.Errorf("%+v", r)
	}
	if r := rows[1]; !r.Valid || !r.Private || r.ValidUntil != nil || r.Path != never {
		t.Errorf("%+v", r)
	}
	late := time.Now().Add(50 * 24 * time.Hour).Format(time.DateOnly)
	if code, out, _ := run(t, listCommand(), "", "--at", late, soon); code != exit.Done || !strings.Contains(out, "✗ ") || !strings.Contains(out, "; expires on ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, row := range []struct {
		args []string
		code int
	}{
		{[]string{soon, never}, exit.Done},
		{[]string{"--within", "41d", soon, never}, exit.KeysEnd},
		{[]string{"--within", "41d", never}, exit.Done},
		{[]string{"--within", "960h", soon}, exit.KeysEnd},
		{[]string{"--within", "959h", soon}, exit.Done},
		{[]string{"--within", "soon", soon}, exit.Usage},
		{[]string{"--within", "-3h", soon}, exit.Usage},
		{nil, exit.Usage},
		{[]string{"--state", dir, soon}, exit.Usage},
		{[]string{"--state", dir}, exit.NotVerified},
		{[]string{"--flat", "docker-worker", dir}, exit.Usage},
		{[]string{filepath.Join(dir, "nothing")}, exit.Usage},
	} {
		code, out, said := run(t, checkCommand(), "", row.args...)
		if code != row.code || (code == exit.KeysEnd) != strings.Contains(out, "soon <worker@soon>") || strings.Contains(out, "never") {
			t.Errorf("%v: exit code %d: %s %s", row.args, code, out, said)
		}
	}
	if code, _, said := run(t, listCommand(), "", "--at", "tomorrow", soon); code != exit.Usage || !strings.Contains(said, "2031-01-31") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestNothingActsOnTheTerminal: user ids are texts of others.
func TestNothingActsOnTheTerminal(t *testing.T) {
	t.Parallel()
	k, err := gpg.Generate(gpg.Spec{Email: "x@example.com", Algorithm: gpg.Curve25519})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := listCommand()
	c.SetOut(&out)
	printRows(visible(c), []row{newRow(keyrepo.Verdict{Key: k, Path: "\x1b]0;title\a\x1b[2J"})})
	if strings.ContainsAny(out.String(), "\x1b\a") {
		t.Errorf("%q", out.String())
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	dir := generated(t, "host-1", "host-2")
	one := read(t, filepath.Join(dir, "host-1.pub"))
	for name, row := range map[string]struct {
		args []string
		code int
		keys int
	}{
		"all":           {[]string{dir}, exit.Done, 2},
		"of a file":     {[]string{filepath.Join(dir, "host-1.sec")}, exit.Done, 1},
		"one":           {[]string{"--key", one.Fingerprint(), dir}, exit.Done, 1},
		"one not there": {[]string{"--key", strings.Repeat("A", 40), dir}, exit.Usage, 0},
		"nothing left":  {[]string{"--implementation", "docker-worker", dir}, exit.Usage, 0},
	} {
		code, out, said := run(t, exportCommand(), "", row.args...)
		if code != row.code {
			t.Errorf("%s: exit code %d: %s", name, code, said)
		}
		if row.keys == 0 {
			continue
		}
		ring, err := gpg.Read([]byte(out))
		if err != nil || len(ring.Keys()) != row.keys {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, k := range ring.Keys() {
			if k.Secret() {
				t.Errorf("%s: a private key is out", name)
			}
		}
	}
}

// TestVerifyFiles: signatures of files, at their date.
func TestVerifyFiles(t *testing.T) {
	t.Parallel()
	dir := generated(t, "host", "other")
	path := func(name string) string { return filepath.Join(dir, name) }
	key := read(t, path("host.sec"))
	clear, err := key.ClearSign([]byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	detached, err := key.SignDetached([]byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"clear.asc": clear, "text": []byte("text"), "text.asc": detached} {
		if err := os.WriteFile(path(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, other := path("host.pub"), path("other.pub")
	for _, row := range []struct {
		args []string
		code int
	}{
		{[]string{"--signers", host, path("clear.asc")}, exit.Done},
		{[]string{"--signers", host, path("text"), path("text.asc")}, exit.Done},
		{[]string{"--signers", host, path("clear.asc"), path("text.asc")}, exit.NotVerified},
		{[]string{"--signers", host, path("text")}, exit.NotVerified},
		{[]string{"--signers", other, path("clear.asc")}, exit.NotVerified},
		{[]string{"--signers", host, "--at", "2001-01-01", path("clear.asc")}, exit.NotVerified},
		{[]string{"--signers", host, "--at", "2101-01-01", path("clear.asc")}, exit.NotVerified},
		{[]string{path("clear.asc")}, exit.Usage},
		{[]string{"--signers", path("text"), path("clear.asc")}, exit.Usage},
		{[]string{"--signers", host, path("nothing")}, exit.Usage},
		{[]string{"--signers", host, path("text"), path("nothing")}, exit.Usage},
		{[]string{"--signers", host, dir}, exit.NotVerified},
		{[]string{"--signers", host, dir, path("text.asc")}, exit.Usage},
	} {
		code, out, said := run(t, verifyCommand(), "", append([]string{"--json"}, row.args...)...)
		if code != row.code || (code == exit.Done) != strings.Contains(out, `"fingerprint":"`+key.Fingerprint()+`"`) {
			t.Errorf("%v: exit code %d: %s %s", row.args, code, out, said)
		}
	}
}
