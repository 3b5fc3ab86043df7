// Package child has the commands that generic-worker starts of itself, for work
// that wants a process of its own. Nobody types them.
package child

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/template/render"
)

const (
	name       = "child"
	nameRender = "render"
)

// Command returns the hidden command child. What its commands call to end the
// process at once is quit, which is os.Exit.
func Command(quit func(code int)) *cobra.Command {
	command := &cobra.Command{
		Use:    name,
		Short:  "Do one piece of work for a generic-worker that waits for it",
		Hidden: true,
	}
	for _, row := range []struct {
		name, short string
		run         func(*cobra.Command) error
	}{
		{nameRender, "Render a template", func(c *cobra.Command) error {
			return render.Serve(c.InOrStdin(), c.OutOrStdout(), quit)
		}},
	} {
		command.AddCommand(&cobra.Command{
			Use: row.name, Short: row.short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				if err := row.run(c); err != nil {
					return exit.Errorf(exit.Usage, "%w", err)
				}
				return nil
			},
		})
	}
	return command
}

// Render returns a renderer of templates that starts this program again for
// each of them.
func Render(limits render.Limits) (render.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return render.Child{}, fmt.Errorf("cannot find this program to start it for templates: %w", err)
	}
	return render.Child{Argv: []string{self, name, nameRender}, Limits: limits}, nil
}
