package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/internal/build"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print what this binary was built from",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			built := build.Read()
			if asJSON {
				return writeJSON(c.OutOrStdout(), built)
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), versionLine(built))
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// setVersion gives the root command the flag --version.
func setVersion(root *cobra.Command) {
	root.Version = versionLine(build.Read())
	root.SetVersionTemplate("{{.Version}}\n")
}

// versionLine says what a binary was built from, the version as third word.
func versionLine(b build.Info) string {
	var notes []string
	if b.Revision != "" {
		notes = append(notes, "revision "+b.Revision)
	}
	if b.Modified {
		notes = append(notes, "modified")
	}
	notes = append(notes, b.GoVersion, b.OS+"/"+b.Arch)
	return "generic-worker version " + b.Version + " [" + strings.Join(notes, ", ") + "]"
}
