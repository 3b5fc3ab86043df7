package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/shell"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/site"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/taskfile"
)

func taskCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "task",
		Short: "Run a task here, or create, watch and cancel tasks of a queue",
		Long: "Run a task here, or create, watch and cancel tasks of a queue.\n" +
			"All but run and new-id speak to the queue of --config, or else to the deployment named by TASKCLUSTER_ROOT_URL,\n" +
			"TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and TASKCLUSTER_CERTIFICATE.",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(taskRunCommand(), taskCreateCommand(), taskNewIDCommand(), taskListCommand(), taskShowCommand(), taskLogCommand(), taskCancelCommand(),
		shell.Command(connectToTask))
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
	rootURL, credentials, err := address(r.configFile)
	if err != nil {
		return nil, err
	}
	return &queue.Client{
		RootURL: rootURL, Credentials: func() queue.Credentials { return credentials },
		Log: newLogger(slog.LevelError), Limits: queue.Limits{Elapsed: longestWait},
	}, nil
}

// connectToTask connects to the queue that is named by a file, or else to that
// of the task run of this user that has the task, or else to the one that the
// environment names.
func connectToTask(ctx context.Context, configFile, taskID string) (*queue.Client, error) {
	if configFile == "" {
		if running := shell.Running(ctx, filepath.Join(site.UserDir(), "runs"), taskID); running != nil {
			return running, nil
		}
		if tcclient.RootURLFromEnvVars() == "" {
			return nil, exit.Errorf(exit.Usage, "no task run of yours has the task %s now; for the task of a queue give --config FILE, or set TASKCLUSTER_ROOT_URL", taskID)
		}
	}
	return (&remote{configFile: configFile}).client()
}

// address returns the queue of a configuration, or that of the environment
// without a file, and credentials for it.
func address(configFile string) (string, queue.Credentials, error) {
	if configFile == "" {
		return addressFromEnvironment()
	}
	cfg, err := loadConfig(configFile)
	if err != nil {
		return "", queue.Credentials{}, err
	}
	if cfg.Worker.RootURL != config.LocalRootURL {
		return cfg.Worker.RootURL, cfg.Credentials, nil
	}
	credentials, err := local.ReadCredentials(cfg.LocalQueue.DataDir)
	if err != nil {
		return "", credentials, exit.Errorf(exit.Refused, "cannot read the local queue's credentials; start it with generic-worker run --config %s: %w", configFile, err)
	}
	return "http://" + cfg.LocalQueue.Listen, credentials, nil
}

func addressFromEnvironment() (string, queue.Credentials, error) {
	given := tcclient.CredentialsFromEnvVars()
	rootURL := tcclient.RootURLFromEnvVars()
	if rootURL == "" {
		return "", queue.Credentials{}, exit.Errorf(exit.Usage, "which queue? give --config FILE, or set TASKCLUSTER_ROOT_URL")
	}
	return rootURL, queue.Credentials{
		ClientID: given.ClientID, AccessToken: mask.Secret(given.AccessToken), Certificate: mask.Secret(given.Certificate),
	}, nil
}

// refused gives an error of the queue its exit code.
func refused(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, queue.ErrUnavailable) {
		return exit.Errorf(exit.Unavailable, "%w; is the queue running, and is its address right?", err)
	}
	return exit.Errorf(exit.Refused, "%w", err)
}

// loadTask reads a task file; its errors carry the exit code.
func loadTask(path string, check func(*document.Document) error) (taskfile.Task, error) {
	t, err := taskfile.Load(path, time.Now(), check)
	if _, malformed := errors.AsType[document.Problems](err); malformed {
		return t, exit.Errorf(exit.Malformed, "the task is malformed; mend it and try again:\n%w", err)
	}
	if err != nil {
		return t, exit.Errorf(exit.Usage, "%w", err)
	}
	return t, nil
}

func taskNewIDCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new-id",
		Short: "Print an id for a task that is yet to be created",
		Long: "Print an id for a task that is yet to be created: for task create --task-id and task run --task-id, when something in\n" +
			"the task depends on its id, such as variables from encrypt-env.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), taskfile.NewID())
			return err
		},
	}
}

func taskCreateCommand() *cobra.Command {
	r := &remote{}
	id := ""
	c := &cobra.Command{
		Use:   "create FILE",
		Short: "Create the task of a file and print its id",
		Args:  cobra.ExactArgs(1),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			definition, err := loadTask(args[0], taskfile.CheckDefinition)
			if err != nil {
				return err
			}
			definition.ID = id
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
	c.Flags().StringVar(&id, "task-id", "", "id that the task gets, of task new-id (default: a new one)")
	return c
}

func taskListCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "list [TASK_GROUP_ID]",
		Short: "List the tasks of a task group, or the latest of an embedded queue",
		Args:  cobra.MatchAll(cobra.MaximumNArgs(1), taskIDs),
		RunE: r.run(func(c *cobra.Command, client *queue.Client, args []string) error {
			tasks, err := list(c.Context(), client, args)
			if err != nil {
				return err
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

// list returns the tasks of the group that is named, if one is.
func list(ctx context.Context, client *queue.Client, groups []string) ([]tcqueue.TaskStatusStructure, error) {
	if len(groups) > 0 {
		tasks, err := client.TaskGroup(ctx, groups[0])
		return tasks, refused(err)
	}
	tasks, err := client.RecentTasks(ctx)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, exit.Errorf(exit.Usage, "this queue lists no tasks without their task group; name one: task list TASK_GROUP_ID")
	}
	return tasks, refused(err)
}

// taskIDs checks arguments that are ids of tasks or of task groups.
func taskIDs(_ *cobra.Command, args []string) error {
	for _, arg := range args {
		if err := taskfile.CheckID(arg); err != nil {
			return err
		}
	}
	return nil
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
		Args:  cobra.MatchAll(cobra.ExactArgs(1), taskIDs),
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

func taskCancelCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "cancel TASK_ID...",
		Short: "Cancel tasks; a running one is stopped by its worker",
		Args:  cobra.MatchAll(cobra.MinimumNArgs(1), taskIDs),
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
