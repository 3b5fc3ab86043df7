package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/filelock"
	"github.com/taskcluster/generic-worker/internal/worker/journal"
)

// workerStatus is what can be told about a worker without asking it.
type workerStatus struct {
	StateDir string `json:"stateDir"`
	Working  bool   `json:"working"` // whether there is a process
	PID      int    `json:"pid,omitempty"`
	journal.Status
}

func statusCommand() *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show whether a worker is at work, and on which tasks",
		Long: "Show whether a worker is at work on this machine, on which tasks, and how many it has resolved.\n" +
			"All of it is read from the worker's state directory; nobody is contacted.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := stateDir(file, c.Flags().Changed("config"))
			if err != nil {
				return err
			}
			status, err := readStatus(dir)
			if err != nil {
				return exit.Errorf(exit.StatusUnread, "%w", err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), status)
			}
			return status.print(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&file, "config", "generic-worker.config", "configuration file of the worker")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// stateDir is the state directory of the worker with the given configuration,
// or of one that runs here without any.
func stateDir(file string, given bool) (string, error) {
	cfg, err := configHere(file, given)
	if err != nil {
		return "", err
	}
	return cfg.Worker.StateDir, nil
}

// configHere is the configuration of the worker with the given file, or of one
// that runs here without any.
func configHere(file string, given bool) (*config.Config, error) {
	if _, err := os.Stat(file); !given && errors.Is(err, fs.ErrNotExist) {
		return config.Local(), nil
	}
	return loadConfig(file)
}

func readStatus(dir string) (workerStatus, error) {
	s := workerStatus{StateDir: dir}
	var err error
	if s.Status, err = journal.ReadStatus(dir); err != nil {
		return s, err
	}
	release, err := filelock.Take(dir, "stateDir")
	if locked, ok := errors.AsType[*filelock.HeldError](err); ok {
		s.Working, s.PID = true, locked.PID
		return s, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil // no worker ever was here
	}
	if err != nil {
		return s, fmt.Errorf("cannot tell whether a worker is at work: %w", err)
	}
	return s, release()
}

func (s workerStatus) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "state directory\t%s\n", s.StateDir)
	what := "running"
	if s.Working {
		fmt.Fprintf(w, "worker\tat work, process %d\n", s.PID)
	} else {
		fmt.Fprint(w, "worker\tnot at work\n")
		what = "cut off"
	}
	fmt.Fprintf(w, "tasks resolved\t%d\n", s.Resolved)
	for _, run := range s.Running {
		fmt.Fprintf(w, "%s\ttask %s, run %d, claimed until %s\n", what, run.TaskID, run.RunID, run.TakenUntil.Format(time.RFC3339))
	}
	return w.Flush()
}
