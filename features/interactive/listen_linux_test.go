package interactive

import (
	"strings"
	"testing"
)

// TestWhereShellsAreReached asks at an address of the loopback interface that is
// not the usual one: only who listens on all addresses answers there.
func TestWhereShellsAreReached(t *testing.T) {
	t.Parallel()
	const other = "ws://127.0.0.2:"
	private := newFixture(t, Config{}, on).open(t, t.Context())
	if conn, _, err := connect(t, strings.Replace(private, "ws://127.0.0.1:", other, 1), nil); err == nil {
		_ = conn.CloseNow()
		t.Error("without publicIP shells are reached at all addresses")
	}
	public := newFixture(t, Config{PublicIP: "127.0.0.2"}, on).open(t, t.Context())
	if !strings.HasPrefix(public, other) {
		t.Errorf("with publicIP the shell is at %s", public)
	}
	for _, socket := range []string{public, strings.Replace(public, other, "ws://127.0.0.1:", 1)} {
		c := visit(t, socket)
		c.types(t, `echo rea""ched`)
		c.sees(t, `reached`)
	}
}
