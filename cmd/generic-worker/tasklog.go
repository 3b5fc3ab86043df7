package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/terminal"
)

// longestSilence is how long a task may print nothing before its log is
// considered broken off.
const longestSilence = 24 * time.Hour

func taskLogCommand() *cobra.Command {
	r := &remote{}
	raw := false
	c := &cobra.Command{
		Use:   "log TASK_ID",
		Short: "Show a task's log, following it while the task runs",
		Args:  cobra.MatchAll(cobra.ExactArgs(1), taskIDs),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			client.Limits.Idle = longestSilence
			content, err := openLog(c.Context(), client, args[0], c.ErrOrStderr())
			if err != nil {
				return refused(err)
			}
			defer content.Close()
			out := c.OutOrStdout()
			if !raw && terminal.Is(out) {
				out = &terminal.Visible{To: out}
			}
			if _, err := io.Copy(out, content); err != nil {
				return exit.Errorf(exit.Unavailable, "the log broke off: %w", err)
			}
			return nil
		}),
	}
	c.Flags().StringVar(&r.configFile, "config", "", "worker configuration whose queue and credentials to use")
	c.Flags().BoolVar(&raw, "raw", false, "show control sequences of the log as they are, also on a terminal")
	return c
}

// logPause is how often a queue, which has no call that waits for that, is
// asked whether there is a log.
const logPause = time.Second

// openLog returns the log of the newest run, if need be once there is one.
func openLog(ctx context.Context, client *queue.Client, taskID string, notice io.Writer) (io.ReadCloser, error) {
	for told := false; ; told = true {
		status, err := client.Status(ctx, taskID)
		if err != nil {
			return nil, err
		}
		content, err := client.OpenArtifact(ctx, taskID, -1, "public/logs/live.log")
		unresolved := status.State == "unscheduled" || status.State == "pending" || status.State == "running"
		if !unresolved || !errors.Is(err, queue.ErrNotFound) {
			return content, err
		}
		if !told {
			fmt.Fprintf(notice, "generic-worker: the task is %s and has no log yet; waiting for it\n", status.State)
		}
		select {
		case <-time.After(logPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
