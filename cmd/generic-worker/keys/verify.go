package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
)

// verify is `generic-worker keys verify`.
type verify struct {
	layout
	signers string
	tag     string
	at      string
	asJSON  bool
}

func verifyCommand() *cobra.Command {
	v := &verify{}
	c := &cobra.Command{
		Use:   "verify --signers PATH TARGET [SIGNATURE]",
		Short: "Verify the tag and the keys of a key repository, or a signed file",
		Long: "TARGET is a key repository, which is a directory: the newest annotated tag of the commit that is checked out must be\n" +
			"signed by one of the signers. The keys are read from git's objects, at that commit, and never from the work tree;\n" +
			"a bare clone will do. Every key is printed, with ✓ if it counts. At least one key of each worker implementation must.\n\n" +
			"Or it is a file: a clear-signed text such as chainOfTrust.json.asc or, with SIGNATURE, any file with a detached\n" +
			"signature. One of the signers must have signed it.\n\n" +
			fmt.Sprintf("The exit code is %d for what does not verify.", exit.NotVerified),
		Example: "  generic-worker keys verify --signers tag-signers cot-gpg-keys\n" +
			"  generic-worker keys verify --signers worker.pub --at 2017-06-02T23:00:00Z chainOfTrust.json.asc",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error { return v.run(c, args) },
	}
	v.layout.flags(c)
	c.Flags().StringVar(&v.signers, "signers", "", "file, or directory with files, of the keys that may have signed")
	c.Flags().StringVar(&v.tag, "tag", "", "verify the version with this tag, whatever is checked out")
	c.Flags().StringVar(&v.at, "at", "", "date at which signatures and keys must be valid, such as 2031-01-31 (default: now)")
	c.Flags().BoolVar(&v.asJSON, "json", false, "print JSON")
	return c
}

// result is what verify prints with --json.
type result struct {
	Release *keyrepo.Release `json:"release,omitempty"` // of a repository
	Keys    []row            `json:"keys,omitempty"`
	Signer  *row             `json:"signer,omitempty"` // of a file
}

func (v *verify) run(c *cobra.Command, args []string) error {
	at, err := moment("--at", v.at)
	if err != nil {
		return err
	}
	signers, err := readSigners(v.signers)
	if err != nil {
		return err
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return exit.Errorf(exit.Usage, "cannot verify: %w", err)
	}
	var found result
	if info.IsDir() {
		found, err = v.repository(c.Context(), args, signers, at)
	} else {
		found, err = v.file(args, signers, at)
	}
	if err != nil {
		return err
	}
	if v.asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(found)
	}
	out := visible(c)
	if r := found.Release; r != nil {
		fmt.Fprintf(out, "✓ tag %s of %s, signed by %s\n", r, r.Tagged.Format(time.RFC3339), r.Signer)
	}
	if found.Signer != nil {
		fmt.Fprintf(out, "✓ %s, signed by\n", args[0])
		found.Keys = []row{*found.Signer}
	}
	printRows(out, found.Keys)
	return nil
}

// readSigners reads who may sign.
func readSigners(path string) (*gpg.Keyring, error) {
	if path == "" {
		return nil, exit.Errorf(exit.Usage, "who may sign? give --signers PATH, with the public keys of those who may")
	}
	ring, err := keyrepo.ReadKeys(path)
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "%w", err)
	}
	return ring, nil
}

func (v *verify) repository(ctx context.Context, args []string, signers *gpg.Keyring, at time.Time) (result, error) {
	if len(args) > 1 {
		return result{}, exit.Errorf(exit.Usage, "%s is a directory, whose tag has the signature; give no other one", args[0])
	}
	set, err := keyrepo.Read(ctx, keyrepo.Source{Dir: args[0], Tag: v.tag, Layout: v.directories(), Signers: signers, At: at})
	if err != nil {
		return result{}, exit.Errorf(exit.NotVerified, "%w", err)
	}
	return result{Release: &set.Release, Keys: rowsOf(set.Verdicts(at))}, nil
}

// largestVerified bounds a file whose signature is verified.
const largestVerified = 64 << 20

func (v *verify) file(args []string, signers *gpg.Keyring, at time.Time) (result, error) {
	data, err := readUpTo(args[0], largestVerified)
	if err != nil {
		return result{}, exit.Errorf(exit.Usage, "cannot verify %s: %w", args[0], err)
	}
	var signer *gpg.Key
	if len(args) == 1 {
		_, signer, err = signers.OpenClearSigned(data, at)
	} else {
		signature, unread := readAll(args[1])
		if unread != nil {
			return result{}, exit.Errorf(exit.Usage, "cannot read the signature %s: %w", args[1], unread)
		}
		signer, err = signers.VerifyDetached(data, signature, at)
	}
	if err != nil {
		return result{}, exit.Errorf(exit.NotVerified, "cannot verify %s: %w", args[0], err)
	}
	r := newRow(keyrepo.Verdict{Path: v.signers, Key: signer})
	return result{Signer: &r}, nil
}
