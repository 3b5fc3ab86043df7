// Package cache has the commands about what a worker keeps between tasks. All
// of them work while a worker is at work and while none is.
package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/site"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/config"
)

// Group is the command with those about caches. dirs returns the
// directories of the worker with the given configuration file.
func Group(dirs func(file string, given bool) (*config.Config, error)) *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "List, explain and delete what is kept between tasks",
		Long: "List, explain and delete what a worker keeps between tasks: writable caches, downloaded files, and the trees of\n" +
			"files that were unpacked from them. A worker that is at work sees to what is to be deleted before its next task, and\n" +
			"deletes what is in use when it comes back.",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	s := &source{load: dirs}
	c.PersistentFlags().StringVar(&s.file, "config", "generic-worker.config", "configuration file of the worker")
	c.PersistentFlags().BoolVar(&s.taskRun, "task-run", false, "the caches that generic-worker task run has, instead of a worker's")
	c.AddCommand(s.listCommand(), s.whyCommand(), s.removeCommand(), s.purgeCommand())
	return c
}

// source says which store is meant.
type source struct {
	load    func(file string, given bool) (*config.Config, error)
	file    string
	taskRun bool
}

func (s *source) dirs(c *cobra.Command) (cache.Dirs, error) {
	if s.taskRun {
		return site.CachesOf(site.UserDir()), nil
	}
	cfg, err := s.load(s.file, c.Flags().Changed("config"))
	if err != nil {
		return cache.Dirs{}, err
	}
	return cfg.Caches, nil
}

// unread gives an error about the directories its exit code.
func unread(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return exit.Errorf(exit.StatusUnread, "%w; run this command as the worker's user", err)
	}
	return exit.Errorf(exit.StatusUnread, "%w", err)
}

// nothing is the error for a name that nothing has.
func nothing(name string, d cache.Dirs) error {
	return exit.Errorf(exit.Usage, "nothing in %s or %s has the name or id %q; generic-worker cache ls lists what there is", d.Caches, d.Downloads, name)
}

func writeJSON(to io.Writer, v any) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("cannot print the answer: %w", err)
	}
	return nil
}

// size is a number of bytes for people.
func size(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	amount, unit := float64(bytes), 0
	for amount >= 1024 && unit < len(units)-1 {
		amount, unit = amount/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", amount, units[unit])
}
