package keys

import (
	"encoding/json"

	"github.com/spf13/cobra"
)

func listCommand() *cobra.Command {
	s, at, asJSON := &source{}, "", false
	c := &cobra.Command{
		Use:   "list [PATH...]",
		Short: "List the keys in files, directories or a key repository",
		Long: "List keys: fingerprint, user ids, worker implementation, until when they are valid, who has certified them, and\n" +
			"whether they count. PATH is a file with keys, a directory with such files, or the work tree of a key repository.\n" +
			"Nobody vouches for these files: generic-worker keys verify looks at the signed tag instead. --state lists the keys in use.",
		Example: "  generic-worker keys list worker.pub\n  generic-worker keys list --json cot-gpg-keys",
		RunE: func(c *cobra.Command, paths []string) error {
			when, err := moment("--at", at)
			if err != nil {
				return err
			}
			verdicts, err := s.verdicts(c.Context(), paths, when)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(rowsOf(verdicts))
			}
			printRows(visible(c), rowsOf(verdicts))
			return nil
		},
	}
	s.flags(c)
	c.Flags().StringVar(&at, "at", "", "date at which the keys are looked at, such as 2031-01-31 (default: now)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
