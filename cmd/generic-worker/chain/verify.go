package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/policy"
	"github.com/taskcluster/generic-worker/internal/source/offline"
)

// verifyCot is `generic-worker verify-cot`.
type verifyCot struct {
	request
	bundle   string
	download string
	compat   bool
	asJSON   bool

	out    io.Writer
	people io.Writer // standard error
}

// VerifyCot is the command that verifies where a task comes from.
func VerifyCot(address Address) *cobra.Command {
	v := &verifyCot{request: request{address: address}}
	c := &cobra.Command{
		Use:   "verify-cot TASK_ID --task-type TYPE",
		Short: "Verify that a task and all it is made from are what a policy trusts",
		Long: "Verify the chain of trust of a task: that it and all it is made from were made by trusted workers, down to a decision\n" +
			"task that is as its repository wants it. The result is a tree with the rules that are not kept.\n\n" +
			"The exit code is 0 if all is right, 20 if anything speaks against the task, and 22 if nothing does but\n" +
			"something could not be found out.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := v.context(c.Context())
			defer stop()
			v.out, v.people = c.OutOrStdout(), c.ErrOrStderr()
			return v.run(ctx, args)
		},
	}
	v.flags(c)
	c.Flags().StringVar(&v.bundle, "bundle", "", "directory of bundle create to verify from, without network")
	c.Flags().StringVar(&v.download, "download", "", "directory for the verified artifacts, which appear if all is right")
	c.Flags().BoolVar(&v.compat, "compat", false, "give the verdict of the Python verifier, and say which stricter rules were skipped")
	c.Flags().BoolVar(&v.asJSON, "json", false, "print the report as JSON")
	return c
}

func (v *verifyCot) run(ctx context.Context, args []string) error {
	d, err := v.read(ctx, args)
	if err != nil {
		return err
	}
	d.Policy.Compat = d.Policy.Compat || v.compat
	from, closeSource, err := v.answers(d)
	if err != nil {
		return err
	}
	defer closeSource()
	if v.download != "" {
		if err := os.MkdirAll(v.download, 0o777); err != nil {
			return exit.Errorf(exit.Usage, "cannot make the directory for artifacts; name another with --download: %w", err)
		}
	}
	dir, remove, err := scratch(v.download)
	if err != nil {
		return err
	}
	defer remove()
	shown := watch(v.people)
	from.Source = shown.source(from.Source)
	result, err := v.verify(ctx, d, from, dir)
	shown.end()
	if err != nil {
		return err
	}
	return v.deliver(ctx, result, dir)
}

// answers are those of the bundle, if there is one.
func (v *verifyCot) answers(d *policy.Deployment) (from offline.Answers, closeSource func(), err error) {
	if v.bundle == "" {
		from, err = v.online(d)
		return from, func() {}, err
	}
	b, err := offline.OpenBundle(v.bundle)
	if err != nil {
		return from, nil, exit.Errorf(exit.Usage, "%w", err)
	}
	return offline.Answers{Source: b, Forge: b, Landed: b.Landed}, func() { _ = b.Close() }, nil // it was only read
}

// deliver shows the report, after the artifacts are where they were wanted.
func (v *verifyCot) deliver(ctx context.Context, result *report.Report, dir string) error {
	if v.download != "" && result.Verdict == report.Verified {
		if err := moveAll(dir, v.download); err != nil {
			return exit.Errorf(exit.ChainFault, "cannot put the artifacts into their directory: %w", err)
		}
	}
	var err error
	if v.asJSON {
		encoder := json.NewEncoder(v.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(result)
	} else {
		err = result.WriteTree(v.out)
	}
	if err != nil {
		return exit.Errorf(exit.ChainFault, "cannot show the report of a chain that is %s: %w", result.Verdict, err)
	}
	return verdictExit(ctx, result)
}

// moveAll moves the directories of tasks. One that is there already is
// replaced.
func moveAll(from, to string) error {
	tasks, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, task := range tasks {
		old, final := filepath.Join(from, task.Name()+".old"), filepath.Join(to, task.Name())
		if err := os.Rename(final, old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Rename(filepath.Join(from, task.Name()), final); err != nil {
			return fmt.Errorf("cannot put the artifacts of %s in place: %w", task.Name(), err)
		}
	}
	return nil
}
