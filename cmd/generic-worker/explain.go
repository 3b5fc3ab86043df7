package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
)

func explainCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say what an exit code means and what to do",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			codes := exit.Codes()
			if len(args) == 1 {
				found, err := exitCodeOf(args[0])
				if err != nil {
					return err
				}
				codes = []exit.Code{found}
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), codes)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, e := range codes {
				fmt.Fprintf(w, "%d\t%s\n\twhat to do: %s\n", e.Code, e.Meaning, e.Action)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func exitCodeOf(text string) (exit.Code, error) {
	code, err := strconv.Atoi(text)
	if err != nil {
		return exit.Code{}, exit.Errorf(exit.Usage, "%q is not an exit code; give a number such as 73", text)
	}
	for _, e := range exit.Codes() {
		if e.Code == code {
			return e, nil
		}
	}
	return exit.Code{}, exit.Errorf(exit.Usage, "generic-worker does not exit with %d; generic-worker explain lists the codes it has", code)
}
