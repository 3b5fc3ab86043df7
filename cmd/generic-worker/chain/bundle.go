package chain

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/internal/source/offline"
)

// Bundle is the command with those about bundles.
func Bundle(address Address) *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Make copies of chains of trust",
		Args:  cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(createCommand(address))
	return c
}

// createBundle is `generic-worker bundle create`.
type createBundle struct {
	request
	output string

	out    io.Writer
	people io.Writer // standard error
}

func createCommand(address Address) *cobra.Command {
	b := &createBundle{request: request{address: address}}
	c := &cobra.Command{
		Use:   "create TASK_ID --task-type TYPE --output DIR",
		Short: "Copy all that verifying a task needs into a directory",
		Long: "Copy all that verifying a task needs into a directory: tasks, certificates, artifacts, and what servers say about\n" +
			"repositories. verify-cot --bundle DIR then needs no network, and comes to the verdict it would come to now,\n" +
			"whatever that is: keys and rules are those of the policy it is given then.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := b.context(c.Context())
			defer stop()
			b.out, b.people = c.OutOrStdout(), c.ErrOrStderr()
			return b.run(ctx, args)
		},
	}
	b.flags(c)
	c.Flags().StringVar(&b.output, "output", "", "directory to make; it must not be there yet")
	return c
}

func (b *createBundle) run(ctx context.Context, args []string) error {
	d, err := b.read(ctx, args)
	if err != nil {
		return err
	}
	if b.output == "" {
		return exit.Errorf(exit.Usage, "where to write the bundle? give --output DIR")
	}
	from, err := b.online(d)
	if err != nil {
		return err
	}
	shown := watch(b.people)
	from.Source = shown.source(from.Source)
	recorder, err := offline.NewRecorder(b.output, from)
	if err != nil {
		return exit.Errorf(exit.Usage, "%w", err)
	}
	defer func() { _ = recorder.Discard() }() // nothing after Finish
	dir, remove, err := scratch("")
	if err != nil {
		return err
	}
	defer remove()
	result, err := b.verify(ctx, d, offline.Answers{Source: recorder, Forge: recorder, Landed: recorder.Landed}, dir)
	shown.end()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return exit.Errorf(exit.ChainUndecided, "cannot make bundle %s: %w", b.output, context.Cause(ctx))
	}
	if err := recorder.Finish(); err != nil {
		return exit.Errorf(exit.ChainFault, "%w", err)
	}
	return b.show(ctx, result)
}

// show prints what is in the bundle. What could not be found out is not in it,
// which is worth an exit code.
func (b *createBundle) show(ctx context.Context, result *report.Report) error {
	bundle, err := offline.OpenBundle(b.output)
	if err != nil {
		return exit.Errorf(exit.ChainFault, "%w", err)
	}
	defer bundle.Close()
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	contents := bundle.Contents()
	for _, question := range slices.Sorted(maps.Keys(contents)) {
		size := "absent"
		if contents[question] >= 0 {
			size = fmt.Sprintf("%d bytes", contents[question])
		}
		fmt.Fprintf(w, "%s\t%s\n", question, size)
	}
	if err := w.Flush(); err != nil {
		return exit.Errorf(exit.ChainFault, "cannot show what is in bundle %s: %w", b.output, err)
	}
	if result.Verdict != report.Undecided {
		return nil
	}
	fmt.Fprintf(b.people, "%sthe bundle lacks what could not be found out; verifying from it cannot decide either\n", result)
	return verdictExit(ctx, result)
}
