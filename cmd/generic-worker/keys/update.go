package keys

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
)

func updateCommand() *cobra.Command {
	l, from, state, force := &layout{}, keyrepo.Source{}, "", false
	signers := ""
	c := &cobra.Command{
		Use:   "update --signers PATH --state DIR REPOSITORY",
		Short: "Verify a key repository, and use its keys from now on",
		Long: "Verify a key repository as generic-worker keys verify does and, if it verifies, make its version the one in use: at\n" +
			"once for everybody who reads DIR, or not at all, also if the process is killed. What does not verify changes\n" +
			"nothing, so that the last good version stays in use. A version whose tag is older than the one in use is refused.\n\n" +
			"Nothing is fetched. Before this command run, in a clone with a work tree,\n" +
			"  git fetch --tags && git checkout $(git describe --abbrev=0 origin/HEAD)\n" +
			"or in a bare one git fetch, and name the version with --tag.\n\n" +
			fmt.Sprintf("The exit code is %d for what does not verify or is older, and %d while another process updates DIR.", exit.NotVerified, exit.DirectoryIsBusy),
		Example: "  generic-worker keys update --signers tag-signers --state /var/lib/generic-worker cot-gpg-keys",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if state == "" {
				return exit.Errorf(exit.Usage, "where are the keys in use? give --state DIR")
			}
			var err error
			if from.Signers, err = readSigners(signers); err != nil {
				return err
			}
			from.Dir, from.Layout = args[0], l.directories()
			set, err := keyrepo.Read(c.Context(), from)
			if err != nil {
				return exit.Errorf(exit.NotVerified, "%w", err)
			}
			changed, err := stateDir(state).Update(c.Context(), set, force)
			switch {
			case errors.Is(err, keyrepo.ErrBusy):
				return exit.Errorf(exit.DirectoryIsBusy, "%w", err)
			case err != nil:
				return exit.Errorf(exit.NotVerified, "%w", err)
			case changed:
				fmt.Fprintf(visible(c), "using %s\n", set.Release)
			default:
				fmt.Fprintf(visible(c), "already using %s\n", set.Release)
			}
			return nil
		},
	}
	l.flags(c)
	c.Flags().StringVar(&signers, "signers", "", "file, or directory with files, of the keys that may sign tags")
	c.Flags().StringVar(&state, "state", "", "directory of the keys in use, below which keys/ is kept")
	c.Flags().StringVar(&from.Tag, "tag", "", "use the version with this tag, whatever is checked out")
	c.Flags().BoolVar(&force, "force", false, "go back to an older version, or replace one that is damaged")
	return c
}
