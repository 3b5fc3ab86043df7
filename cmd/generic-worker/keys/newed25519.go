package keys

import (
	"encoding/base64"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot"
)

// NewEd25519KeyPair is the command that makes an ed25519 key.
func NewEd25519KeyPair() *cobra.Command {
	file := ""
	c := &cobra.Command{
		Use:   "new-ed25519-keypair --file FILE",
		Short: "Make an ed25519 key pair to sign chain of trust certificates",
		Long: "Make an ed25519 key pair to sign chain of trust certificates. The seed of the private key goes to FILE, as base64\n" +
			"and for its owner to read only; the public key goes to standard output, as base64 without a newline. A file\n" +
			"that is there is never replaced, because nothing brings a lost key back.\n\n" +
			"Name FILE in ed25519SigningKeyLocation of the worker's configuration, and give the public key to those who\n" +
			"verify certificates.",
		Example: "  generic-worker new-ed25519-keypair --file ed25519.key > ed25519.pub",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			public, err := newEd25519(file)
			if err != nil {
				return err
			}
			if _, err := c.OutOrStdout().Write(public); err != nil {
				return exit.Errorf(exit.NoKeyPair, "cannot print the public key; remove %s and make another one: %w", file, err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "file", "", "file to write the private key to; it must not be there yet")
	return c
}

// newEd25519 writes the private key and returns the public one in base64.
func newEd25519(file string) ([]byte, error) {
	if file == "" {
		return nil, exit.Errorf(exit.Usage, "where to write the private key? give --file FILE")
	}
	key, err := cot.GenerateEd25519()
	if err != nil {
		return nil, exit.Errorf(exit.NoKeyPair, "%w", err)
	}
	if err := writeNew(file, key.File()); err != nil {
		return nil, exit.Errorf(exit.NoKeyPair, "cannot write the private key: %w", err)
	}
	return base64.StdEncoding.AppendEncode(nil, key.Public()), nil
}
