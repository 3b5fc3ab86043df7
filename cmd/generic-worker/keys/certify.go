package keys

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
)

func certifyCommand() *cobra.Command {
	secret := ""
	c := &cobra.Command{
		Use:   "certify --by SECRET KEY...",
		Short: "Vouch for keys of workers with one's own key",
		Long: "Vouch with the private key in SECRET for all user ids of the public keys in the files KEY, and write the keys with\n" +
			"the certifications back into the same files. gpg shows the certifications as good. A key that SECRET vouches for\n" +
			"already is left as it is.\n\n" +
			"Each key is printed. Compare the fingerprints with those that generic-worker keys generate printed on the hosts:\n" +
			"who verifies with the repository will believe what these keys sign. SECRET must not need a passphrase; a key that\n" +
			"is in gpg certifies with gpg --quick-sign-key.",
		Example: "  generic-worker keys certify --by anna.sec scriptworker/valid/*.pub",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			by, err := certifier(secret)
			if err != nil {
				return err
			}
			for _, file := range files {
				if err := certify(visible(c), by, file, time.Now()); err != nil {
					return exit.Errorf(exit.Usage, "%s: %w", file, err)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&secret, "by", "", "file with the private key that vouches")
	return c
}

func certifier(file string) (*gpg.Key, error) {
	if file == "" {
		return nil, exit.Errorf(exit.Usage, "who vouches? give --by FILE, with the private key")
	}
	ring, err := keyrepo.ReadKeys(file)
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "%w", err)
	}
	found := ring.Keys()
	if len(found) != 1 || !found[0].Secret() {
		return nil, exit.Errorf(exit.Usage, "%s has %d keys, and one private key is needed; export it with gpg --export-secret-keys", file, len(found))
	}
	return found[0], nil
}

// certify certifies the keys in one file.
func certify(out io.Writer, by *gpg.Key, file string, now time.Time) error {
	ring, err := keyrepo.ReadKeys(file)
	if err != nil {
		return err
	}
	var text []byte
	changed := false
	for _, k := range ring.Keys() {
		if k.Secret() {
			return fmt.Errorf("it has the private key %s, which would be lost; give the file with the public key", k)
		}
		done := "already certified"
		if _, err := gpg.NewKeyring(by).Certifies(k, now); err != nil {
			if k, err = by.Certify(k, now); err != nil {
				return err
			}
			changed, done = true, "certified"
		}
		public, err := k.ArmorPublic()
		if err != nil {
			return err
		}
		text = append(text, public...)
		fmt.Fprintf(out, "%s: %s\n", done, k)
	}
	if !changed {
		return nil
	}
	return writePublic(file, text)
}
