package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
)

const (
	branchesOnPage  = 100
	maxPages        = 10 // of branches
	maxComparisons  = 60 // an hour's requests without a token
	statusBehind    = "behind"
	statusIdentical = "identical"
)

// Landed tells whether a revision is on a branch of the repository with that
// URL. GitHub serves commits of forks under the name of the repository they
// were forked from, so that it has a commit says nothing; a Mercurial server has
// only its own. It is what chain.Request wants as its Landed.
//
// The branch of a commit has to be searched: the default branch first, then all
// others. An error means that a repository has too many branches for that.
func (f *Forge) Landed(ctx context.Context, repository, revision string) (bool, error) {
	r, err := template.ParseRepository(repository, f.Kinds())
	if err != nil {
		return false, err
	}
	if !template.IsRevision(revision) {
		return false, nil // such as owner:branch, which is a branch of a fork
	}
	if r.Kind == template.Mercurial {
		_, err := f.Pushes(ctx, template.Commit{Repository: r, Revision: revision})
		if errors.Is(err, chain.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	about, err := f.api(ctx, r, "")
	if err != nil {
		return false, err
	}
	var itself struct {
		Branch string `json:"default_branch"`
	}
	if err := json.Unmarshal(about, &itself); err != nil || itself.Branch == "" {
		return false, errors.New("cannot read the repository: it has no default branch")
	}
	on, err := f.isOn(ctx, r, itself.Branch, revision)
	if on || err != nil {
		return on, err
	}
	branches, err := f.branches(ctx, r)
	if err != nil {
		return false, err
	}
	for i, branch := range branches {
		if i == maxComparisons {
			return false, fmt.Errorf("cannot tell whether %s is on a branch of %s: it is on none of %d, and there are %d", revision, repository, i, len(branches))
		}
		if on, err := f.isOn(ctx, r, branch, revision); on || err != nil {
			return on, err
		}
	}
	return false, nil
}

// isOn tells whether a revision is the tip of a branch or behind it.
func (f *Forge) isOn(ctx context.Context, r template.Repository, branch, revision string) (bool, error) {
	text, err := f.api(ctx, r, "/compare/"+url.PathEscape(branch)+"..."+url.PathEscape(revision)+"?per_page=1")
	if errors.Is(err, chain.ErrNotFound) {
		return false, nil // they have no history in common
	}
	if err != nil {
		return false, err
	}
	var comparison struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(text, &comparison); err != nil || comparison.Status == "" {
		return false, errors.New("cannot read the comparison of a branch with a revision")
	}
	return comparison.Status == statusBehind || comparison.Status == statusIdentical, nil
}

// branches returns the names of all branches.
func (f *Forge) branches(ctx context.Context, r template.Repository) ([]string, error) {
	var names []string
	for page := range maxPages {
		text, err := f.api(ctx, r, fmt.Sprintf("/branches?per_page=%d&page=%d", branchesOnPage, page+1))
		if err != nil {
			return nil, err
		}
		var list []struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("cannot read the list of branches: %w", err)
		}
		for _, branch := range list {
			names = append(names, branch.Name)
		}
		if len(list) < branchesOnPage {
			return names, nil
		}
	}
	return nil, fmt.Errorf("cannot list the branches of %s: there are more than %d", r.Path, maxPages*branchesOnPage)
}
