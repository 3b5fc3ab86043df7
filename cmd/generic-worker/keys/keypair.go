package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/gpg"
)

// keyPair is `generic-worker new-openpgp-keypair`.
type keyPair struct {
	file      string
	algorithm string
	userID    string
	valid     time.Duration
}

// NewOpenPGPKeyPair is the command that makes an OpenPGP key.
func NewOpenPGPKeyPair() *cobra.Command {
	k := &keyPair{}
	c := &cobra.Command{
		Use:   "new-openpgp-keypair --file FILE",
		Short: "Make an OpenPGP key pair for encryption and signatures",
		Long: "Make an OpenPGP key pair. The private key goes to FILE, in ASCII armor, without a passphrase and for its owner\n" +
			"to read only; the public key goes to standard output, in ASCII armor. A file that is there is never replaced,\n" +
			"because nothing brings a lost key back.\n\n" +
			"For encrypted variables, name FILE in encryptedEnvKeyLocation of the worker's configuration, and give the\n" +
			"public key to those who write tasks: they use it with generic-worker encrypt-env, or with gpg.",
		Example: "  generic-worker new-openpgp-keypair --file worker.key > worker.pub",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			public, err := k.make()
			if err != nil {
				return err
			}
			if _, err := c.OutOrStdout().Write(public); err != nil {
				return exit.Errorf(exit.NoOpenPGPPair, "cannot print the public key; gpg --import %s and gpg --export --armor show it: %w", k.file, err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&k.file, "file", "", "file to write the private key to; it must not be there yet")
	c.Flags().StringVar(&k.algorithm, "algorithm", string(gpg.RSA4096), "rsa4096, or curve25519 (smaller and faster, for gpg 2.1 and later)")
	c.Flags().StringVar(&k.userID, "user-id", "generic-worker", `whose key it is, such as "pool-linux" or "Pool Linux <owner@example.com>"`)
	c.Flags().DurationVar(&k.valid, "valid", 0, "time for which others encrypt to the key, such as 720h (default: for ever)")
	return c
}

// make writes the private key and returns the public one.
func (k *keyPair) make() ([]byte, error) {
	name, email, err := k.identity()
	switch {
	case k.file == "":
		return nil, exit.Errorf(exit.Usage, "where to write the private key? give --file FILE")
	case k.algorithm != string(gpg.RSA4096) && k.algorithm != string(gpg.Curve25519):
		return nil, exit.Errorf(exit.Usage, "--algorithm %q is not possible; write %s or %s", k.algorithm, gpg.RSA4096, gpg.Curve25519)
	case k.valid < 0:
		return nil, exit.Errorf(exit.Usage, "--valid %v is in the past; write for example 720h", k.valid)
	case err != nil:
		return nil, err
	}
	key, err := gpg.Generate(gpg.Spec{Name: name, Email: email, Algorithm: gpg.Algorithm(k.algorithm), Lifetime: k.valid, Encryption: true})
	if err != nil {
		return nil, exit.Errorf(exit.NoOpenPGPPair, "%w", err)
	}
	private, err := key.ArmorSecret()
	if err != nil {
		return nil, exit.Errorf(exit.NoOpenPGPPair, "%w", err)
	}
	public, err := key.ArmorPublic()
	if err != nil {
		return nil, exit.Errorf(exit.NoOpenPGPPair, "%w", err)
	}
	if err := writeNew(k.file, private); err != nil {
		return nil, exit.Errorf(exit.NoOpenPGPPair, "cannot write the private key: %w", err)
	}
	return public, nil
}

// identity splits the user id into a name and a mail address, if it has one.
func (k *keyPair) identity() (name, email string, err error) {
	name, email, _ = strings.Cut(strings.TrimSpace(k.userID), "<")
	email, closed := strings.CutSuffix(email, ">")
	name = strings.TrimSpace(name)
	if closed != strings.Contains(k.userID, "<") || name+email == "" || strings.ContainsAny(name+email, "<>()") {
		return "", "", exit.Errorf(exit.Usage, `--user-id %q is not possible; write a name without brackets, or "name <mail>"`, k.userID)
	}
	return name, email, nil
}

// writeNew writes a file that its owner can read and nobody else, and that was
// not there before. After an error it is not there.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; give --file another name, or remove it if nobody needs the key in it", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
