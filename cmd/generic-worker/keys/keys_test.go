package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/gpg"
)

const taskID = "fN1SbArXTPSVFUUvaOlinQ"

// run runs a command and returns its exit code and what it wrote.
func run(t *testing.T, c *cobra.Command, in string, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.SetArgs(args)
	c.SetIn(strings.NewReader(in))
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	if coded, ok := errors.AsType[*exit.Error](err); ok {
		return coded.Code, stdout.String(), stderr.String() + coded.Error()
	}
	if err != nil {
		return exit.Usage, stdout.String(), stderr.String() + err.Error()
	}
	return exit.Done, stdout.String(), stderr.String()
}

// pair makes a key pair in files.
func pair(t *testing.T, args ...string) (private, public string) {
	t.Helper()
	private, public = filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "pub")
	code, out, said := run(t, NewOpenPGPKeyPair(), "", append([]string{"--file", private, "--algorithm", "curve25519"}, args...)...)
	if code != exit.Done || said != "" {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if err := os.WriteFile(public, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	return private, public
}

func read(t *testing.T, path string) *gpg.Key {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := gpg.Read(text)
	if err != nil || len(ring.Keys()) != 1 {
		t.Fatalf("%s: %v", path, err)
	}
	return ring.Keys()[0]
}

func TestNewOpenPGPKeyPair(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args     []string
		identity string
		life     time.Duration
	}{
		"as it is":          {nil, "generic-worker", 0},
		"RSA":               {[]string{"--algorithm", "rsa4096"}, "generic-worker", 0},
		"named":             {[]string{"--user-id", " Pool Linux "}, "Pool Linux", 0},
		"with an address":   {[]string{"--user-id", "Pool <a@example.com>"}, "Pool <a@example.com>", 0},
		"only an address":   {[]string{"--user-id", "<a@example.com>"}, "<a@example.com>", 0},
		"for a short while": {[]string{"--valid", "720h"}, "generic-worker", 720 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			private, public := pair(t, row.args...)
			secret, open := read(t, private), read(t, public)
			if open.Secret() || !secret.Secret() || open.Fingerprint() != secret.Fingerprint() {
				t.Errorf("the files have %v and %v", secret, open)
			}
			if got := open.Identities(); len(got) != 1 || got[0] != row.identity {
				t.Errorf("identities %q", got)
			}
			if got := open.Expires(); row.life == 0 && !got.IsZero() || row.life > 0 && got.Sub(open.Created()) != row.life {
				t.Errorf("expires %v", got)
			}
			info, err := os.Stat(private)
			if err != nil || info.Mode().Perm()&^0o444 != 0 || info.Mode().Perm()&0o400 == 0 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if _, err := encryptedenv.ReadKeys(private); err != nil {
				t.Errorf("a worker cannot use it: %v", err)
			}
		})
	}
}

func TestNoKeyPair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there, fresh := filepath.Join(dir, "there"), filepath.Join(dir, "fresh")
	if err := os.WriteFile(there, []byte("a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		args []string
		code int
		want string
	}{
		"there already": {[]string{"--file", there}, exit.NoOpenPGPPair, "is there already; give --file another name"},
		"no directory":  {[]string{"--file", filepath.Join(dir, "none", "key")}, exit.NoOpenPGPPair, "cannot write the private key"},
		"a directory":   {[]string{"--file", dir}, exit.NoOpenPGPPair, "is there already"},
		"no file":       {nil, exit.Usage, "give --file FILE"},
		"algorithm":     {[]string{"--file", fresh, "--algorithm", "dsa"}, exit.Usage, "write rsa4096 or curve25519"},
		"weak":          {[]string{"--file", fresh, "--algorithm", "rsa2048"}, exit.Usage, "write rsa4096 or curve25519"},
		"identity":      {[]string{"--file", fresh, "--user-id", "a <b"}, exit.Usage, `write a name without brackets`},
		"comment":       {[]string{"--file", fresh, "--user-id", "a (b) <c@d>"}, exit.Usage, `write a name without brackets`},
		"nobody":        {[]string{"--file", fresh, "--user-id", " "}, exit.Usage, "write a name"},
		"the past":      {[]string{"--file", fresh, "--valid", "-1h"}, exit.Usage, "is in the past"},
		"for ages":      {[]string{"--file", fresh, "--valid", "2000000h"}, exit.NoOpenPGPPair, "lifetime"},
		"argument":      {[]string{fresh}, exit.Usage, "unknown command"},
	} {
		args := append([]string{"--algorithm", "curve25519"}, row.args...)
		code, out, said := run(t, NewOpenPGPKeyPair(), "", args...)
		if code != row.code || out != "" || !strings.Contains(said, row.want) {
			t.Errorf("%s: exit code %d, %q on standard output, %s", name, code, out, said)
		}
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "a key" {
		t.Errorf("the file that was there has %q, %v", text, err)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was left: %v", err)
	}
}

// plain is what was encrypted.
type plain struct {
	MessageVersion json.Number `json:"messageVersion"`
	TaskID         string      `json:"taskId"`
	StartTime      int64       `json:"startTime"`
	EndTime        int64       `json:"endTime"`
	Name           string      `json:"name"`
	Value          string      `json:"value"`
}

func opened(t *testing.T, private, out string) (p plain) {
	t.Helper()
	line, ended := strings.CutSuffix(out, "\n")
	message, err := base64.StdEncoding.Strict().DecodeString(line)
	if err != nil || !ended || strings.Contains(line, "\n") {
		t.Fatalf("not one line of base64: %q", out)
	}
	text, err := gpg.NewKeyring(read(t, private)).Decrypt(message, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEncryptEnv(t *testing.T) {
	t.Parallel()
	private, public := pair(t)
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	soon := now.Add(time.Hour).Truncate(time.Second).UTC()
	for name, row := range map[string]struct {
		in         string
		args       []string
		want       string
		start, end time.Time
	}{
		"as it is":         {"a value", nil, "a value", now.Add(-tolerance), now.Add(24 * time.Hour)},
		"a line":           {"a value\n", nil, "a value", now.Add(-tolerance), now.Add(24 * time.Hour)},
		"a line of DOS":    {"a value\r\n", nil, "a value", now.Add(-tolerance), now.Add(24 * time.Hour)},
		"two line breaks":  {"a value\n\n", nil, "a value\n", now.Add(-tolerance), now.Add(24 * time.Hour)},
		"exactly":          {"a value\n", []string{"--exact"}, "a value\n", now.Add(-tolerance), now.Add(24 * time.Hour)},
		"blanks stay":      {"  a\tvalue \n", nil, "  a\tvalue ", now.Add(-tolerance), now.Add(24 * time.Hour)},
		"a file":           {"ignored", []string{"--value-file", file}, "from a file", now.Add(-tolerance), now.Add(24 * time.Hour)},
		"short":            {"a value", []string{"--valid", "30s"}, "a value", now.Add(-tolerance), now.Add(30 * time.Second)},
		"longest":          {"a value", []string{"--valid", "744h"}, "a value", now, now.Add(longestValid)},
		"later":            {"a value", []string{"--start", soon.Format(time.RFC3339), "--valid", "1h"}, "a value", soon, soon.Add(time.Hour)},
		"with a time zone": {"a value", []string{"--start", soon.In(time.FixedZone("", 7200)).Format(time.RFC3339)}, "a value", soon, soon.Add(24 * time.Hour)},
	} {
		code, out, said := run(t, EncryptEnv(), row.in, append([]string{"--public-key", public, "--task-id", taskID, "--name", "TOKEN"}, row.args...)...)
		if code != exit.Done || said != "" && len(row.want) >= 8 {
			t.Errorf("%s: exit code %d: %s", name, code, said)
			continue
		}
		got := opened(t, private, out)
		if got.MessageVersion != "1" || got.TaskID != taskID || got.Name != "TOKEN" || got.Value != row.want {
			t.Errorf("%s: got %+v", name, got)
		}
		const patience = 20 * time.Second // since now was noted
		if late := time.UnixMilli(got.StartTime).Sub(row.start); late < -time.Second || late > patience {
			t.Errorf("%s: valid from %v, not %v", name, time.UnixMilli(got.StartTime), row.start)
		}
		if late := time.UnixMilli(got.EndTime).Sub(row.end); late < -time.Second || late > patience {
			t.Errorf("%s: valid until %v, not %v", name, time.UnixMilli(got.EndTime), row.end)
		}
	}
}

func TestEncryptEnvRefuses(t *testing.T) {
	t.Parallel()
	private, public := pair(t)
	both := filepath.Join(t.TempDir(), "both")
	_, other := pair(t)
	if err := os.WriteFile(both, append(contents(t, public), contents(t, other)...), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := filepath.Join(t.TempDir(), "ended")
	key, err := gpg.Generate(gpg.Spec{Name: "ended", Algorithm: gpg.Curve25519, Encryption: true, Lifetime: time.Hour, Now: time.Now().AddDate(0, -1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ended, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		in   string
		args []string
		want string
	}{
		"no key":         {"v", []string{"--public-key", ""}, "give --public-key FILE"},
		"no key there":   {"v", []string{"--public-key", public + "x"}, "cannot use the public key"},
		"no key in it":   {"v", []string{"--public-key", "keys_test.go"}, "there is no OpenPGP key"},
		"two keys":       {"v", []string{"--public-key", both}, "there are 2 keys in it; export the one"},
		"expired key":    {"v", []string{"--public-key", ended}, "the key has expired"},
		"no task":        {"v", []string{"--task-id", ""}, "give --task-id ID"},
		"no task id":     {"v", []string{"--task-id", "x"}, "is no id of a task"},
		"no name":        {"v", []string{"--name", ""}, "without a name"},
		"reserved":       {"v", []string{"--name", "TASK_ID"}, "the worker's own"},
		"name with =":    {"v", []string{"--name", "A=v"}, "has = in the name"},
		"no file":        {"v", []string{"--value-file", public + "x"}, "cannot read the value"},
		"no UTF-8":       {"hunter\xff", nil, "not UTF-8; encode the value"},
		"NUL":            {"hunter\x00", nil, "NUL character"},
		"large":          {strings.Repeat("x", 70_000), nil, "put what is large into a file"},
		"huge":           {strings.Repeat("x", largest+1), nil, "cannot read the value: there are more than 256 KiB"},
		"no time":        {"v", []string{"--valid", "0s"}, "write a time of at most 744h"},
		"too long":       {"v", []string{"--valid", "745h"}, "write a time of at most 744h"},
		"over":           {"v", []string{"--start", "2020-01-01T00:00:00Z"}, "would not be valid any more"},
		"no date":        {"v", []string{"--start", "tomorrow"}, "write for example 2031-01-31T12:00:00Z"},
		"value in words": {"v", []string{"value"}, "unknown command"},
	} {
		args := append([]string{"--public-key", public, "--task-id", taskID, "--name", "TOKEN"}, row.args...)
		code, out, said := run(t, EncryptEnv(), row.in, args...)
		if code != exit.Usage || out != "" || !strings.Contains(said, row.want) || strings.Contains(said, "hunter") {
			t.Errorf("%s: exit code %d, %q on standard output, %s", name, code, out, said)
		}
	}
	// With the private key at hand there is no need for the public one.
	if code, out, said := run(t, EncryptEnv(), "a value", "--public-key", private, "--task-id", taskID, "--name", "A"); code != exit.Done || out == "" {
		t.Errorf("exit code %d: %s", code, said)
	}
	if code, out, said := run(t, EncryptEnv(), "short", "--public-key", public, "--task-id", taskID, "--name", "A"); code != exit.Done || out == "" || !strings.Contains(said, "not masked in logs") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
