package gpg_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// gnupg is the real gpg with a home of its own.
type gnupg struct {
	t    testing.TB
	home string
	now  time.Time // that gpg is told; zero: the clock
}

func newGnuPG(t testing.TB) *gnupg {
	t.Helper()
	lookFor(t, "gpg")
	// Its agent has a socket in there, whose path has to be short.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	g := &gnupg{t: t, home: home}
	t.Cleanup(func() {
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = g.env()
		if text, err := stop.CombinedOutput(); err != nil {
			t.Logf("cannot stop the agent: %v: %s", err, text)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Log(err)
		}
	})
	return g
}

func lookFor(t testing.TB, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("%s is not installed", tool)
	}
	return path
}

func (g *gnupg) env() []string {
	return append(os.Environ(), "GNUPGHOME="+g.home, "HOME="+g.home, "LC_ALL=C", "TZ=UTC")
}

// try runs gpg with input and returns its output, what it reports and its
// status.
func (g *gnupg) try(input []byte, args ...string) (out []byte, report string, status int) {
	g.t.Helper()
	all := []string{"--batch", "--no-tty", "--yes", "--status-fd", "2", "--pinentry-mode", "loopback", "--passphrase", ""}
	if !g.now.IsZero() {
		all = append(all, "--faked-system-time", fmt.Sprint(g.now.Unix()))
	}
	cmd := exec.CommandContext(g.t.Context(), "gpg", append(all, args...)...)
	cmd.Env = g.env()
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited { //nolint:errorlint // Run does not wrap it
		g.t.Fatal(err)
	}
	return stdout.Bytes(), stderr.String(), cmd.ProcessState.ExitCode()
}

// run is try for what has to work.
func (g *gnupg) run(input []byte, args ...string) []byte {
	g.t.Helper()
	out, report, status := g.try(input, args...)
	if status != 0 {
		g.t.Fatalf("gpg %s: exit status %d\n%s", strings.Join(args, " "), status, report)
	}
	return out
}

// newKey makes a key in the home and returns its fingerprint.
func (g *gnupg) newKey(identity, algorithm, expires string) string {
	g.t.Helper()
	_, report, status := g.try(nil, "--quick-generate-key", identity, algorithm, "default", expires)
	if status != 0 {
		g.t.Fatalf("gpg cannot make a key: %s", report)
	}
	return created(g.t, report)
}

// created takes a fingerprint out of a report.
func created(t testing.TB, report string) string {
	t.Helper()
	for line := range strings.Lines(report) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[1] == "KEY_CREATED" {
			return fields[3]
		}
	}
	t.Fatalf("no key was made: %s", report)
	return ""
}

// exported is the key as gpg writes it.
func (g *gnupg) exported(fingerprint string) *gpg.Key {
	g.t.Helper()
	return one(g.t, read(g.t, g.run(nil, "--armor", "--export-secret-keys", fingerprint)))
}

// have brings keys into the home.
func (g *gnupg) have(keys ...*gpg.Key) {
	g.t.Helper()
	for _, k := range keys {
		text, err := k.ArmorPublic()
		if k.Secret() {
			text, err = k.ArmorSecret()
		}
		if err != nil {
			g.t.Fatal(err)
		}
		g.run(text, "--import")
	}
}

func one(t testing.TB, r *gpg.Keyring) *gpg.Key {
	t.Helper()
	if len(r.Keys()) != 1 {
		t.Fatalf("%d keys, want one", len(r.Keys()))
	}
	return r.Keys()[0]
}

// file writes data where gpg can read it.
func (g *gnupg) file(name string, data []byte) string {
	g.t.Helper()
	path := filepath.Join(g.home, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}
