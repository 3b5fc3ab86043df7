package keys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/gpg"
)

// generate is `generic-worker keys generate`.
type generate struct {
	user      string
	dir       string
	algorithm string
	valid     span
}

func generateCommand() *cobra.Command {
	g := &generate{valid: 730 * day}
	c := &cobra.Command{
		Use:   "generate --user USER HOST...",
		Short: "Make a key that signs certificates for each of some hosts",
		Long: "Make an OpenPGP key that signs certificates for each host. For host.example.com the user id is\n" +
			"host <USER@host.example.com>, and the files are host.sec, which has the private key without a passphrase and is\n" +
			"for its owner to read only, and host.pub. Nothing that is there is replaced.\n\n" +
			"Bring HOST.sec to the host and name it in openpgpSigningKeyLocation there. Put HOST.pub into a key repository:\n" +
			"for a signed directory, certify it first with generic-worker keys certify.",
		Example: "  generic-worker keys generate --user worker --dir new signing-1.example.com signing-2.example.com",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, hosts []string) error {
			return g.run(c.OutOrStdout(), hosts)
		},
	}
	c.Flags().StringVar(&g.user, "user", "", "user as whom the workers run, for the mail addresses of the user ids")
	c.Flags().StringVar(&g.dir, "dir", ".", "directory to write the files to")
	c.Flags().StringVar(&g.algorithm, "algorithm", string(gpg.RSA4096), "rsa4096, or curve25519 (smaller and faster, for gpg 2.1 and later)")
	c.Flags().Var(&g.valid, "valid", "time for which the keys are valid, such as 730d; 0d: for ever")
	return c
}

var hostForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
})

// run makes the keys, after it has looked at all of the command line.
func (g *generate) run(out io.Writer, hosts []string) error {
	algorithm := gpg.Algorithm(g.algorithm)
	switch {
	case g.user == "" || strings.ContainsAny(g.user, "<>()@ \t\r\n"):
		return exit.Errorf(exit.Usage, "--user %q is not possible; give the name of the user as whom the workers run", g.user)
	case algorithm != gpg.RSA4096 && algorithm != gpg.Curve25519:
		return exit.Errorf(exit.Usage, "--algorithm %q is not possible; write %s or %s", g.algorithm, gpg.RSA4096, gpg.Curve25519)
	}
	taken := map[string]string{}
	for _, host := range hosts {
		if !hostForm().MatchString(host) {
			return exit.Errorf(exit.Usage, "%q is not the name of a host", host)
		}
		short, _, _ := strings.Cut(host, ".")
		if other, there := taken[short]; there {
			return exit.Errorf(exit.Usage, "%s and %s would have the same files; make their keys in two directories", other, host)
		}
		taken[short] = host
	}
	for _, host := range hosts {
		key, err := g.one(host)
		if err != nil {
			return exit.Errorf(exit.NoOpenPGPPair, "cannot make a key for %s: %w", host, err)
		}
		fmt.Fprintln(out, key)
	}
	return nil
}

// one makes the key of one host and writes its files.
func (g *generate) one(host string) (*gpg.Key, error) {
	short, _, _ := strings.Cut(host, ".")
	open, secret := filepath.Join(g.dir, short+".pub"), filepath.Join(g.dir, short+".sec")
	if _, err := os.Lstat(open); err == nil {
		return nil, fmt.Errorf("%s is there already; give --dir another directory, or remove it if nobody needs the key in it", open)
	}
	key, err := gpg.Generate(gpg.Spec{Name: short, Email: g.user + "@" + host, Algorithm: gpg.Algorithm(g.algorithm), Lifetime: time.Duration(g.valid)})
	if err != nil {
		return nil, err
	}
	private, err := key.ArmorSecret()
	if err != nil {
		return nil, err
	}
	public, err := key.ArmorPublic()
	if err != nil {
		return nil, err
	}
	if err := writeNew(secret, private); err != nil {
		return nil, err
	}
	if err := writePublic(open, public); err != nil {
		return nil, errors.Join(err, os.Remove(secret))
	}
	return key, nil
}

// writePublic writes a file for everybody to read, at once: the one that may
// have been there stays until the new one is whole.
func writePublic(name string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
