package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/taskfile"
	"github.com/taskcluster/generic-worker/internal/terminal"
)

func taskCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "task",
		Short: "Run a task here, or create, watch and cancel tasks of a queue",
		Long: "Run a task here, or create, watch and cancel tasks of a queue.\n" +
			"All but run speak to the queue of --config, or else to the deployment named by TASKCLUSTER_ROOT_URL,\n" +
			"TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and TASKCLUSTER_CERTIFICATE.",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(taskRunCommand(), taskCreateCommand(), taskListCommand(), taskShowCommand(), taskLogCommand(), taskCancelCommand())
	return c
}

// remote is the queue that a command speaks to.
type remote struct {
	configFile string
	asJSON     bool
}

// run makes the body of a command that speaks to the queue.
func (r *remote) run(f func(c *cobra.Command, client *queue.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		return f(c, client, args)
	}
}

func (r *remote) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.configFile, "config", "", "worker configuration whose queue and credentials to use")
	c.Flags().BoolVar(&r.asJSON, "json", false, "print JSON")
}

// client connects to the queue.
func (r *remote) client() (*queue.Client, error) {
	rootURL, credentials, err := r.address()
	if err != nil {
		return nil, err
	}
	return &queue.Client{
		RootURL: rootURL, Credentials: func() queue.Credentials { return credentials },
		Log: newLogger(slog.LevelError), Limits: queue.Limits{Elapsed: longestWait},
	}, nil
}

func (r *remote) address() (string, queue.Credentials, error) {
	if r.configFile == "" {
		return addressFromEnvironment()
	}
	cfg, err := loadConfig(r.configFile)
	if err != nil {
		return "", queue.Credentials{}, err
	}
	if cfg.Worker.RootURL != config.LocalRootURL {
		return cfg.Worker.RootURL, cfg.Credentials, nil
	}
	credentials, err := local.ReadCredentials(cfg.LocalQueue.DataDir)
	if err != nil {
		return "", credentials, exit(exitRefused, "cannot read the local queue's credentials; start it with generic-worker run --config %s: %w", r.configFile, err)
	}
	return "http://" + cfg.LocalQueue.Listen, credentials, nil
}

func addressFromEnvironment() (string, queue.Credentials, error) {
	given := tcclient.CredentialsFromEnvVars()
	rootURL := tcclient.RootURLFromEnvVars()
	if rootURL == "" {
		return "", queue.Credentials{}, exit(exitUsage, "which queue? give --config FILE, or set TASKCLUSTER_ROOT_URL")
	}
	return rootURL, queue.Credentials{
		ClientID: given.ClientID, AccessToken: queue.Secret(given.AccessToken), Certificate: queue.Secret(given.Certificate),
	}, nil
}

// refused gives an error of the queue its exit code.
func refused(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, queue.ErrUnavailable) {
		return exit(exitUnavailable, "%w; is the queue running, and is its address right?", err)
	}
	return exit(exitRefused, "%w", err)
}

// loadTask reads a task file; its errors carry the exit code.
func loadTask(path string, check func(*document.Document) error) (taskfile.Task, error) {
	t, err := taskfile.Load(path, time.Now(), check)
	if _, malformed := errors.AsType[document.Problems](err); malformed {
		return t, exit(exitMalformed, "the task is malformed; mend it and try again:\n%w", err)
	}
	if err != nil {
		return t, exit(exitUsage, "%w", err)
	}
	return t, nil
}

func taskCreateCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "create FILE",
		Short: "Create the task of a file and print its id",
		Args:  cobra.ExactArgs(1),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			definition, err := loadTask(args[0], taskfile.CheckDefinition)
			if err != nil {
				return err
			}
			taskID, body, err := definition.Encode()
			if err != nil {
				return err
			}
			status, err := client.CreateTask(c.Context(), taskID, body)
			if err != nil {
				return refused(err)
			}
			if r.asJSON {
				return writeJSON(c.OutOrStdout(), map[string]any{"status": status})
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), taskID)
			return err
		}),
	}
	r.flags(c)
	return c
}

func taskListCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "list TASK_GROUP_ID",
		Short: "List the tasks of a task group",
		Args:  cobra.ExactArgs(1),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			tasks, err := client.TaskGroup(c.Context(), args[0])
			if err != nil {
				return refused(err)
			}
			if r.asJSON {
				return writeJSON(c.OutOrStdout(), tasks)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, t := range tasks {
				fmt.Fprintf(w, "%s\t%s\t%s/%s\n", t.TaskID, describe(t), t.ProvisionerID, t.WorkerType)
			}
			return w.Flush()
		}),
	}
	r.flags(c)
	return c
}

// describe is a task's state, with the reason of its last run if there is one.
func describe(t tcqueue.TaskStatusStructure) string {
	if len(t.Runs) > 0 {
		if last := t.Runs[len(t.Runs)-1]; last.State == "exception" && last.ReasonResolved != "" {
			return t.State + "/" + last.ReasonResolved
		}
	}
	return t.State
}

func taskShowCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "show TASK_ID",
		Short: "Show a task's runs and artifacts",
		Args:  cobra.ExactArgs(1),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			shown, err := lookUp(c.Context(), client, args[0])
			if err != nil {
				return refused(err)
			}
			if r.asJSON {
				return writeJSON(c.OutOrStdout(), shown)
			}
			return shown.print(c.OutOrStdout())
		}),
	}
	r.flags(c)
	return c
}

// shownTask is what task show tells.
type shownTask struct {
	Status    tcqueue.TaskStatusStructure `json:"status"`
	Task      json.RawMessage             `json:"task"`
	Artifacts []queue.Artifact            `json:"artifacts"`
}

func lookUp(ctx context.Context, client *queue.Client, taskID string) (s shownTask, err error) {
	if s.Status, err = client.Status(ctx, taskID); err != nil {
		return s, err
	}
	if s.Task, err = client.Task(ctx, taskID); err != nil {
		return s, err
	}
	if len(s.Status.Runs) > 0 {
		s.Artifacts, err = client.Artifacts(ctx, taskID, len(s.Status.Runs)-1)
	}
	return s, err
}

func (s shownTask) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "task\t%s\nstate\t%s\npool\t%s/%s\ngroup\t%s\ndeadline\t%v\n", s.Status.TaskID, describe(s.Status),
		s.Status.ProvisionerID, s.Status.WorkerType, s.Status.TaskGroupID, s.Status.Deadline)
	for _, run := range s.Status.Runs {
		fmt.Fprintf(w, "run %d\t%s %s\t%s\n", run.RunID, run.State, run.ReasonResolved, run.WorkerID)
	}
	for _, a := range s.Artifacts {
		fmt.Fprintf(w, "artifact\t%s\t%s\t%s\n", a.Name, a.StorageType, a.ContentType)
	}
	return w.Flush()
}

// longestWait bounds how long a person waits for a queue that does not answer.
const longestWait = 15 * time.Second

// longestSilence is how long a task may print nothing before its log is
// considered broken off.
const longestSilence = 24 * time.Hour

func taskLogCommand() *cobra.Command {
	r := &remote{}
	raw := false
	c := &cobra.Command{
		Use:   "log TASK_ID",
		Short: "Show a task's log, following it while the task runs",
		Args:  cobra.ExactArgs(1),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			client.Limits.Idle = longestSilence
			content, err := client.OpenArtifact(c.Context(), args[0], -1, "public/logs/live.log")
			if err != nil {
				return refused(err)
			}
			defer content.Close()
			out := c.OutOrStdout()
			if !raw && terminal.Is(out) {
				out = &terminal.Visible{To: out}
			}
			if _, err := io.Copy(out, content); err != nil {
				return exit(exitUnavailable, "the log broke off: %w", err)
			}
			return nil
		}),
	}
	c.Flags().StringVar(&r.configFile, "config", "", "worker configuration whose queue and credentials to use")
	c.Flags().BoolVar(&raw, "raw", false, "show control sequences of the log as they are, also on a terminal")
	return c
}

func taskCancelCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "cancel TASK_ID...",
		Short: "Cancel tasks; a running one is stopped by its worker",
		Args:  cobra.MinimumNArgs(1),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			var states []string
			for _, taskID := range args {
				status, err := client.CancelTask(c.Context(), taskID)
				if err != nil {
					return refused(err)
				}
				states = append(states, status.TaskID+" "+describe(status))
			}
			if r.asJSON {
				return writeJSON(c.OutOrStdout(), states)
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), strings.Join(states, "\n"))
			return err
		}),
	}
	r.flags(c)
	return c
}
