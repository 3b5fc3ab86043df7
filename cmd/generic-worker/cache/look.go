package cache

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

func (s *source) listCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what is kept, the most recently used first",
		Long: "List what is kept, the most recently used first. What is last in the list goes first when the disk is full, unless it is\n" +
			"in use. Sizes are what things took on the disk when they were last looked at.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dirs, err := s.dirs(c)
			if err != nil {
				return err
			}
			all, err := cache.Look(dirs)
			if err != nil {
				return unread(err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), append([]shelf.Entry{}, all...))
			}
			return printEntries(c.OutOrStdout(), all)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printEntries(out io.Writer, all []shelf.Entry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tSIZE\tCREATED\tLAST USED\tUSES\tSTATE\tNAME")
	for _, e := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", e.ID, e.Kind, size(e.Bytes), day(e.Created), day(e.LastUsed), e.Uses, state(e), oneLine(e.Name))
	}
	return w.Flush()
}

func state(e shelf.Entry) string {
	if e.InUse {
		return "in use"
	}
	return "free"
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// oneLine keeps a name, which anybody may have chosen, in its cell.
func oneLine(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

func (s *source) whyCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "why NAME",
		Short: "Say what happened to a cache, and why",
		Long: "Say what happened to what is or was kept under a name, or to one entry: when it was made, used and returned, and why it\n" +
			"was discarded. As much is remembered as fits in 1 MiB for each directory.",
		Example: "  generic-worker cache why project-checkouts",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dirs, err := s.dirs(c)
			if err != nil {
				return err
			}
			return why(c, dirs, args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func why(c *cobra.Command, dirs cache.Dirs, name string, asJSON bool) error {
	events, err := cache.Events(dirs, name)
	if err != nil {
		return unread(err)
	}
	all, err := cache.Look(dirs)
	if err != nil {
		return unread(err)
	}
	kept := []shelf.Entry{}
	for _, e := range all {
		if e.Name == name || e.ID == name {
			kept = append(kept, e)
		}
	}
	if len(events)+len(kept) == 0 {
		return nothing(name, dirs)
	}
	if asJSON {
		return writeJSON(c.OutOrStdout(), struct {
			Entries []shelf.Entry `json:"entries"`
			Events  []shelf.Event `json:"events"`
		}{kept, append([]shelf.Event{}, events...)})
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, e := range events {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", day(e.Time), e.ID, e.What, oneLine(e.Reason))
	}
	for _, e := range kept {
		fmt.Fprintf(w, "now\t%s\t%s\t%s in %s; %s\n", e.ID, state(e), size(e.Bytes), e.Path, oneLine(e.Reason))
	}
	if len(kept) == 0 {
		fmt.Fprintln(w, "now\t\tnothing is kept\t")
	}
	return w.Flush()
}
