package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/terminal"
)

// visible is the standard output of a command for texts that others wrote, such
// as user ids.
func visible(c *cobra.Command) io.Writer { return &terminal.Visible{To: c.OutOrStdout()} }

// layout is what flags say about the directories of a repository.
type layout struct {
	flat, signed, ignored []string
}

func (l *layout) flags(c *cobra.Command) {
	c.Flags().StringSliceVar(&l.flat, "flat", nil, "worker implementation with a flat directory (default: docker-worker and generic-worker, if they are there)")
	c.Flags().StringSliceVar(&l.signed, "signed", nil, "worker implementation with a signed directory (default: scriptworker, if it is there)")
	c.Flags().StringSliceVar(&l.ignored, "ignore", []string{".md", ".in", ".sh"}, "how the names of files end that are no keys, with --flat and --signed")
}

// directories is nil for the usual ones.
func (l *layout) directories() keyrepo.Layout {
	var all keyrepo.Layout
	for _, name := range l.flat {
		all = append(all, keyrepo.Directory{Implementation: name, Ignored: l.ignored})
	}
	for _, name := range l.signed {
		all = append(all, keyrepo.Directory{Implementation: name, Signed: true, Ignored: l.ignored})
	}
	return all
}

// source is where a command takes keys from: files that nobody vouches for, or
// the version in use.
type source struct {
	layout
	state string
}

func (s *source) flags(c *cobra.Command) {
	s.layout.flags(c)
	c.Flags().StringVar(&s.state, "state", "", "take the keys in use from this directory, which keys update keeps, and no PATH")
}

// stateDir is where below a state directory the keys in use are.
func stateDir(dir string) keyrepo.Store { return keyrepo.Store{Dir: filepath.Join(dir, "keys")} }

// verdicts returns all keys at that time.
func (s *source) verdicts(ctx context.Context, paths []string, at time.Time) ([]keyrepo.Verdict, error) {
	switch {
	case s.state != "" && len(paths) > 0:
		return nil, exit.Errorf(exit.Usage, "give --state or PATH, not both")
	case s.state == "" && len(paths) == 0:
		return nil, exit.Errorf(exit.Usage, "which keys? give the PATH of a file or a directory, or --state DIR")
	case s.state != "":
		set, err := stateDir(s.state).Current(ctx)
		if err != nil {
			return nil, exit.Errorf(exit.NotVerified, "%w", err)
		}
		return set.Verdicts(at), nil
	}
	var all []keyrepo.Verdict
	for _, path := range paths {
		found, err := s.files(ctx, path, at)
		if err != nil {
			return nil, exit.Errorf(exit.Usage, "%w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// files returns the keys of a work tree, a folder or a file.
func (s *source) files(ctx context.Context, path string, at time.Time) ([]keyrepo.Verdict, error) {
	directories := s.directories()
	if directories != nil || isRepository(path) {
		set, err := keyrepo.ReadFiles(ctx, path, directories)
		if err != nil {
			return nil, err
		}
		return set.Verdicts(at), nil
	}
	ring, err := keyrepo.ReadKeys(path)
	if err != nil {
		return nil, err
	}
	var all []keyrepo.Verdict
	for _, k := range ring.Keys() {
		all = append(all, keyrepo.Verdict{Path: path, Key: k, Err: k.ValidAt(at)})
	}
	return all, nil
}

// isRepository tells whether a folder has one of the usual directories.
func isRepository(path string) bool {
	for _, d := range keyrepo.Usual() {
		if info, err := os.Lstat(filepath.Join(path, d.Implementation)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

// row is a key as it is printed.
type row struct {
	Fingerprint    string     `json:"fingerprint"`
	UserIDs        []string   `json:"userIds"`
	Implementation string     `json:"implementation,omitempty"`
	Path           string     `json:"path"`
	Trusted        bool       `json:"trusted"` // certifies others
	Private        bool       `json:"private"`
	Created        time.Time  `json:"created"`
	ValidUntil     *time.Time `json:"validUntil"` // null: for ever
	CertifiedBy    string     `json:"certifiedBy,omitempty"`
	Valid          bool       `json:"valid"`
	Problem        string     `json:"problem,omitempty"`
}

func newRow(v keyrepo.Verdict) row {
	r := row{
		Fingerprint: v.Key.Fingerprint(), Implementation: v.Implementation, Path: v.Path, Trusted: v.Trusted,
		Private: v.Key.Secret(), Created: v.Key.Created().UTC(), Valid: v.Err == nil,
	}
	for _, id := range v.Key.Identities() {
		r.UserIDs = append(r.UserIDs, strings.ToValidUTF8(id, "?"))
	}
	if end := v.Key.Expires(); !end.IsZero() {
		end = end.UTC()
		r.ValidUntil = &end
	}
	if v.By != nil {
		r.CertifiedBy = v.By.Fingerprint()
	}
	if v.Err != nil {
		r.Problem = problem(v)
	}
	return r
}

// problem says in a few words why a key does not count.
func problem(v keyrepo.Verdict) string {
	at, revoked := v.Key.Revoked()
	switch {
	case revoked:
		return "revoked on " + at.UTC().Format(time.DateOnly)
	case errors.Is(v.Err, gpg.ErrExpired) && !v.Key.Expires().IsZero():
		return "expires on " + v.Key.Expires().UTC().Format(time.DateOnly)
	case errors.Is(v.Err, gpg.ErrNotCertified):
		return "not certified by a trusted key"
	}
	return v.Err.Error()
}

// printRows prints a key as three lines or so: a fingerprint leaves no room for
// columns.
func printRows(out io.Writer, rows []row) {
	for _, r := range rows {
		mark := "✓"
		if !r.Valid {
			mark = "✗"
		}
		fmt.Fprintf(out, "%s %s %s\n", mark, r.Fingerprint, strings.Join(r.UserIDs, ", "))
		facts := []string{r.Path}
		if r.Implementation != "" {
			facts = append(facts, "for "+r.Implementation)
		}
		if r.Trusted {
			facts = append(facts, "certifies others")
		}
		if r.Private {
			facts = append(facts, "private key")
		}
		if r.ValidUntil != nil {
			facts = append(facts, "valid until "+r.ValidUntil.Format(time.DateOnly))
		}
		if r.CertifiedBy != "" {
			facts = append(facts, "certified by "+r.CertifiedBy)
		}
		if r.Problem != "" {
			facts = append(facts, r.Problem)
		}
		fmt.Fprintf(out, "  %s\n", strings.Join(facts, "; "))
	}
}

func rowsOf(verdicts []keyrepo.Verdict) []row {
	rows := make([]row, 0, len(verdicts))
	for _, v := range verdicts {
		rows = append(rows, newRow(v))
	}
	return rows
}
