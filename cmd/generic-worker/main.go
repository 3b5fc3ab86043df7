// Command generic-worker claims tasks from a Taskcluster queue and runs them,
// or runs one task here and now on a queue of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/cache"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/chain"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/child"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/keys"
	"github.com/taskcluster/generic-worker/internal/footprint"
)

func main() {
	footprint.Start()
	os.Exit(execute(context.Background(), os.Args[1:]))
}

// execute runs one command line and returns the process's exit code.
func execute(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:           "generic-worker",
		Short:         "Run Taskcluster tasks on any machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), taskCommand(), validateCommand(), showPayloadSchemaCommand(), showConfigSchemaCommand(), showPolicySchemaCommand(),
		statusCommand(), explainCommand(), cache.Group(configHere), keys.Group(), keys.NewEd25519KeyPair(), keys.NewOpenPGPKeyPair(), keys.EncryptEnv(),
		chain.VerifyCot(address), chain.Bundle(address), versionCommand(), child.Command(os.Exit))
	setVersion(root)
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.Errorf(exit.Usage, "%w; see %s --help", err, c.CommandPath())
	})
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exit.Done
	}
	coded, ok := errors.AsType[*exit.Error](err)
	if !ok {
		coded = &exit.Error{Code: exit.Usage, Err: fmt.Errorf("%w; see %s --help", err, command.CommandPath())}
	}
	if text := coded.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "generic-worker: "+text)
	}
	return coded.Code
}
