package tooltest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// GnuPG is the real gpg with a home of its own, in which no key has a passphrase.
type GnuPG struct {
	Home string
	Now  time.Time // that gpg is told; zero: the clock

	t testing.TB
}

// NewGnuPG makes an empty home, which lasts as long as the test.
func NewGnuPG(t testing.TB) *GnuPG {
	t.Helper()
	Need(t, "gpg", "gpgconf")
	home, err := os.MkdirTemp("", "gpg") // the agent's socket needs a short path
	if err != nil {
		t.Fatal(err)
	}
	g := &GnuPG{Home: home, t: t}
	t.Cleanup(func() {
		// The agent would live on, and write while its directory is deleted.
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = g.Env()
		if text, err := stop.CombinedOutput(); err != nil {
			t.Logf("cannot stop the agent: %v: %s", err, text)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Log(err)
		}
	})
	return g
}

// Env is what programs that run gpg need to use this home.
func (g *GnuPG) Env() []string {
	return append(os.Environ(), "GNUPGHOME="+g.Home, "HOME="+g.Home, "LC_ALL=C", "TZ=UTC")
}

// Try runs gpg with input and returns its output, what it reports and its
// status.
func (g *GnuPG) Try(input []byte, args ...string) (out []byte, report string, status int) {
	g.t.Helper()
	all := []string{"--batch", "--no-tty", "--yes", "--status-fd", "2", "--pinentry-mode", "loopback", "--passphrase", ""}
	if !g.Now.IsZero() {
		all = append(all, "--faked-system-time", fmt.Sprint(g.Now.Unix()))
	}
	c := exec.CommandContext(g.t.Context(), "gpg", append(all, args...)...)
	c.Env, c.Stdin = g.Env(), bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		g.t.Fatal(err)
	}
	return stdout.Bytes(), stderr.String(), c.ProcessState.ExitCode()
}

// Run is Try for what has to work.
func (g *GnuPG) Run(input []byte, args ...string) []byte {
	g.t.Helper()
	out, report, status := g.Try(input, args...)
	if status != 0 {
		g.t.Fatalf("gpg %s: exit status %d\n%s", strings.Join(args, " "), status, report)
	}
	return out
}

// Make runs gpg, which makes a key or a subkey, and returns the fingerprint.
func (g *GnuPG) Make(args ...string) string {
	g.t.Helper()
	_, report, status := g.Try(nil, args...)
	for line := range strings.Lines(report) {
		if fields := strings.Fields(line); status == 0 && len(fields) > 3 && fields[1] == "KEY_CREATED" {
			return fields[3]
		}
	}
	g.t.Fatalf("gpg %s made no key: exit status %d\n%s", strings.Join(args, " "), status, report)
	return ""
}
