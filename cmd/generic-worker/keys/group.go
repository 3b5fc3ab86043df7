package keys

import "github.com/spf13/cobra"

// Group is the command with those about the keys of many workers.
func Group() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make, certify, list and verify the OpenPGP keys that sign certificates",
		Long: "Make, certify, list and verify the OpenPGP keys with which workers sign chain of trust certificates, and the git\n" +
			"repositories in which their public parts are kept. Neither gpg nor git is needed, and nothing is fetched from\n" +
			"anywhere: git pull or git fetch does that.\n\n" +
			"A repository has a directory for each worker implementation. In a flat directory every file is a key. A signed\n" +
			"directory has the keys of people in trusted/, and in valid/ those of workers, which count if one of these people\n" +
			"has certified them. What is in use is what a signed git tag names.",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(generateCommand(), certifyCommand(), listCommand(), checkCommand(), verifyCommand(), updateCommand(), exportCommand())
	return c
}
