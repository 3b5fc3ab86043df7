//go:build unix

package process

import (
	"os"
	"strings"
	"testing"
)

// TestUser runs a command, and what it leaves, as another user.
func TestUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may start commands as another user")
	}
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			c := Command{
				Argv: []string{"sh", "-c", "sleep 3600 >/dev/null 2>&1 & id -u; id -g; id -G"}, Dir: "/",
				Output: &out, As: User(65534, 65533, []uint32{65532}),
			}
			res, err := c.run(t.Context(), v.limits)
			if err != nil || res.ExitCode != 0 || out.String() != "65534\n65533\n65533 65532\n" || len(res.Killed) != 1 {
				t.Errorf("got %+v, %v and %q", res, err, &out)
			}
		})
	}
}
