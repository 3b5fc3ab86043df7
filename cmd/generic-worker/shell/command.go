package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/taskfile"
)

// Connect returns a client of the queue of a configuration file. Without one it
// is that of the environment, or whichever has the task. Errors carry the exit
// code.
type Connect func(ctx context.Context, configFile, taskID string) (*queue.Client, error)

// Command is `generic-worker task shell`.
func Command(connect Connect) *cobra.Command {
	configFile, runID := "", -1
	c := &cobra.Command{
		Use:   "shell TASK_ID",
		Short: "Open a shell beside a running task that asks for one",
		Long: "Open a shell beside a running task whose payload has features.interactive. It has the task's directory and environment,\n" +
			"and ends with the task. In a terminal, ~. at the beginning of a line leaves without ending the shell first.\n" +
			"Without a terminal the shell reads standard input and then exits.\n\n" +
			"A task of task run is found without --config, by the user who runs it.",
		Example: "  generic-worker task shell --config worker.yml fN1SbArXTPSVFNUvaOlinQ\n" +
			"  echo 'df -h .' | generic-worker task shell fN1SbArXTPSVFNUvaOlinQ",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := taskfile.CheckID(args[0]); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			client, err := connect(ctx, configFile, args[0])
			if err != nil {
				return err
			}
			socket, err := find(ctx, sought{client: client, taskID: args[0], runID: runID, notice: c.ErrOrStderr()})
			if err == nil {
				err = visit(ctx, socket, streams{in: c.InOrStdin(), out: c.OutOrStdout()})
			}
			if errors.Is(err, context.Canceled) && ctx.Err() != nil {
				return exit.Errorf(exit.Interrupted, "interrupted")
			}
			return err
		},
	}
	c.Flags().StringVar(&configFile, "config", "", "worker configuration whose queue and credentials to use")
	c.Flags().IntVar(&runID, "run", runID, "run of the task (default: the latest)")
	c.Flags().Lookup("run").DefValue = "0" // which help does not show
	return c
}

// refused gives an error of the queue its exit code.
func refused(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, queue.ErrUnavailable):
		return exit.Errorf(exit.Unavailable, "%w; is the queue running, and is its address right?", err)
	}
	return exit.Errorf(exit.Refused, "%w", err)
}

func none(format string, args ...any) error {
	return exit.Errorf(exit.Refused, "there is no shell: %w", fmt.Errorf(format, args...))
}
