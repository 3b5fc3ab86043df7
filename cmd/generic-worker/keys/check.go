package keys

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
)

func checkCommand() *cobra.Command {
	s, within, asJSON := &source{}, 30*day, false
	c := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Tell which keys do not count any more, or soon will not",
		Long: "Tell which keys are expired, revoked or not certified, or will be within some days: keys and certifications have\n" +
			"dates. PATH is as for generic-worker keys list, so a check can run before a new version of a key repository is\n" +
			"tagged; --state checks the keys in use.\n\n" +
			fmt.Sprintf("The exit code is %d if there is such a key, and 0 if there is none.", exit.KeysEnd),
		Example: "  generic-worker keys check --within 60d cot-gpg-keys",
		RunE: func(c *cobra.Command, paths []string) error {
			verdicts, err := s.verdicts(c.Context(), paths, time.Now().Add(time.Duration(within)))
			if err != nil {
				return err
			}
			var ending []keyrepo.Verdict
			for _, v := range verdicts {
				if v.Err != nil {
					ending = append(ending, v)
				}
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(rowsOf(ending))
			} else {
				printRows(visible(c), rowsOf(ending))
			}
			if err == nil && len(ending) > 0 {
				err = exit.Errorf(exit.KeysEnd, "of %d keys %d do not count %s from now; renew or remove them", len(verdicts), len(ending), &within)
			}
			return err
		},
	}
	s.flags(c)
	c.Flags().Var(&within, "within", "time from now, such as 30d")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
