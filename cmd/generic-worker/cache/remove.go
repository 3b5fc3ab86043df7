package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/filelock"
)

func (s *source) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME",
		Aliases: []string{"remove"},
		Short:   "Delete what is kept under a name or an id",
		Long: "Delete what is kept under a name: writable caches of it, or files and trees that come from there; or the one entry with\n" +
			"an id. What is in use is deleted when it comes back.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dirs, err := s.dirs(c)
			if err != nil {
				return err
			}
			return apply(c, dirs, shelf.Request{What: args[0], Reason: "removed with cache rm"})
		},
	}
}

func (s *source) purgeCommand() *cobra.Command {
	before := ""
	c := &cobra.Command{
		Use:   "purge NAME",
		Short: "Delete the writable caches of a name that were made before a moment",
		Long: "Delete the writable caches of a name that were made before a moment, as the purge-cache service asks for it. What is in use\n" +
			"is deleted when it comes back. It is no error if there are none.",
		Example: "  generic-worker cache purge project-checkouts --before 2031-01-31T12:00:00Z",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			when, err := moment(before)
			if err != nil {
				return err
			}
			dirs, err := s.dirs(c)
			if err != nil {
				return err
			}
			return apply(c, dirs, shelf.Request{What: args[0], Before: when, Reason: "purged with cache purge", Writable: true})
		},
	}
	c.Flags().StringVar(&before, "before", "", "moment, such as 2031-01-31T12:00:00Z (default: now)")
	return c
}

// moment reads a date, with or without a time of day; without a text it is now.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, exit.Errorf(exit.Usage, "--before %q is not a date; write for example 2031-01-31 or 2031-01-31T12:00:00Z", text)
}

// deleteLimit bounds how long a command waits until what it discarded is
// deleted; what is left, the next worker deletes.
const deleteLimit = 10 * time.Minute

// apply does what is asked for, if there is anything to do, or leaves that to the worker that is at work.
func apply(c *cobra.Command, dirs cache.Dirs, r shelf.Request) error {
	all, err := cache.Look(dirs)
	switch {
	case err != nil:
		return unread(err)
	case slices.ContainsFunc(all, r.Matches):
	case r.Writable:
		return report(c, r, 0)
	default:
		return nothing(r.What, dirs)
	}
	store, err := cache.Open(c.Context(), cache.Options{
		Dirs: dirs, Capacity: math.MaxInt,
		Log: slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil)),
	})
	if held, busy := errors.AsType[*filelock.HeldError](err); busy {
		if err := cache.Ask(dirs, r); err != nil {
			return unread(err)
		}
		fmt.Fprintf(c.OutOrStdout(), "the worker (process %d) deletes what matches %s before its next task, or when it comes back\n", held.PID, oneLine(r.What))
		return nil
	}
	if err != nil {
		return unread(err)
	}
	dropped, _ := store.Remove(r)
	ctx, cancel := context.WithTimeout(c.Context(), deleteLimit)
	defer cancel()
	if err := store.Close(ctx); err != nil {
		return unread(err)
	}
	return report(c, r, dropped)
}

func report(c *cobra.Command, r shelf.Request, dropped int) error {
	_, err := fmt.Fprintf(c.OutOrStdout(), "deleted %d of %s\n", dropped, oneLine(r.What))
	return err
}
