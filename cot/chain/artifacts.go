package chain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/download"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/step"
)

// What decision and action tasks publish for those who check them.
const (
	nameGraph      = "public/task-graph.json"
	nameActions    = "public/actions.json"
	nameParameters = "public/parameters.yml"
)

// file is one artifact that is wanted from a link.
type file struct {
	link     *link
	name     string
	optional bool
	size     int64 // once verified
	// problem is what is wrong; done without one means verified.
	problem problem
	err     error
	done    bool
}

// problem is a kind of what can be wrong with an artifact; each has a rule.
type problem int

const (
	problemNone     problem = iota
	problemOther            // not the artifact's: it could not be found out
	problemUnlisted         // the certificate does not have it
	problemAbsent           // there is no such artifact
	problemHash             // it is not what the certificate says
)

// finish notes the result, which without an error is that the file is verified.
func (f *file) finish(p problem, err error) { f.problem, f.err, f.done = p, err, true }

func (f *file) verified() bool { return f.done && f.err == nil }

// path is where the file is below Request.Dir, with slashes.
func (f *file) path() string { return f.link.id + "/" + f.name }

func (f *file) report() report.Artifact {
	a := report.Artifact{Name: f.name, Optional: f.optional, State: report.ArtifactUndecided, Reason: step.ErrNotReached.Error()}
	if !f.done {
		return a
	}
	if f.err == nil {
		return report.Artifact{Name: f.name, Optional: f.optional, State: report.ArtifactVerified, File: f.path(), Size: f.size}
	}
	a.Reason = f.err.Error()
	switch {
	case f.optional && (f.problem == problemAbsent || f.problem == problemUnlisted):
		a.State = report.ArtifactAbsent
	case report.VerdictOf(f.err) == report.Failed:
		a.State = report.ArtifactRefused
	}
	return a
}

// download fetches what the rules and the task itself need. Nothing is under
// its final name before its hashes are right.
func (v *verification) download(ctx context.Context) {
	for _, l := range v.found {
		if !definition.IsTaskID(l.id) {
			continue
		}
		if err := v.store.Remove(l.id); err != nil {
			l.fault(err)
			return
		}
	}
	files := v.plan(ctx)
	step.Work[*file]{
		Limit: v.policy.Limits.Parallel,
		Do:    func(ctx context.Context, f *file) { f.finish(v.fetchFile(ctx, f)) },
		Fault: func(f *file, err error) { f.finish(problemOther, err) },
	}.Each(ctx, files)
	for _, l := range v.found {
		for _, name := range slices.Sorted(maps.Keys(l.files)) {
			l.artifacts = append(l.artifacts, l.files[name].report())
		}
	}
}

// plan returns the files to fetch.
func (v *verification) plan(ctx context.Context) []*file {
	for _, l := range v.found {
		if l.root || !v.is(l, KindParent) {
			continue
		}
		v.wantFile(l, nameGraph, false)
		if v.hasActions(l) {
			v.wantFile(l, nameActions, false)
			v.wantFile(l, nameParameters, false)
		}
	}
	root := v.found[0]
	upstream, err := root.defined().Upstream()
	if err == nil {
		err = v.planUpstream(ctx, upstream)
	}
	var all []*file
	for _, l := range v.found {
		for _, name := range slices.Sorted(maps.Keys(l.files)) {
			all = append(all, l.files[name])
		}
	}
	if limit := v.policy.Limits.Artifacts; len(all) > limit && err == nil {
		all, err = nil, report.Refuse("the chain needs %d artifacts, and the policy's limit is %d", len(all), limit)
	}
	root.paths.Set(struct{}{}, err)
	return all
}

// hasActions tells whether an action of the chain is in the group of this
// decision task.
func (v *verification) hasActions(decision *link) bool {
	return slices.ContainsFunc(v.found, func(l *link) bool { return v.isAction(l) && l.group() == decision.id })
}

func (v *verification) wantFile(l *link, name string, optional bool) {
	f := l.files[name]
	if f == nil {
		f = &file{link: l, name: name, optional: true}
		l.files[name] = f
	}
	f.optional = f.optional && optional
}

// planUpstream plans the artifacts that the task itself asks for. Names that
// are not safe are never asked for; the error is about the first of them.
func (v *verification) planUpstream(ctx context.Context, all []definition.Upstream) (first error) {
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, u := range all {
		for _, name := range u.Paths {
			note(v.planPath(ctx, u, name))
		}
	}
	var paths []string // of all links: their ids, too, may differ only in case
	for _, l := range v.found {
		for _, f := range l.files {
			paths = append(paths, f.path())
		}
	}
	slices.Sort(paths)
	note(download.CheckDistinct(paths))
	return first
}

func (v *verification) planPath(ctx context.Context, u definition.Upstream, name string) error {
	if err := download.CheckName(name); err != nil {
		return err
	}
	l, glob := v.links[u.TaskID], v.isGlob(name)
	switch {
	case glob && !v.optional(u):
		return report.Refuse("the path %q for task %s has a *, which is for optional artifacts only", name, u.TaskID)
	case l == nil: // beyond the limits, about which there is a rule
	case glob:
		return v.expand(ctx, l, name)
	default:
		v.wantFile(l, name, v.optional(u))
	}
	return nil
}

// optional tells whether artifacts may be absent, which profile gpg does not
// know.
func (v *verification) optional(u definition.Upstream) bool {
	return u.Optional && v.policy.Profile == Ed25519
}

func (v *verification) isGlob(name string) bool {
	return v.policy.Profile == Ed25519 && strings.Contains(name, "*")
}

// expand wants the artifacts of a link that match.
func (v *verification) expand(ctx context.Context, l *link, pattern string) error {
	if l.run < 0 {
		return nil
	}
	names, err := v.Source.Artifacts(ctx, l.id, l.run)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("cannot list the artifacts of task %s, run %d: %w", l.id, l.run, err)
	}
	match := download.Glob(pattern)
	for _, name := range names {
		if ctx.Err() != nil { // long patterns and many names take minutes
			return context.Cause(ctx)
		}
		if match.MatchString(name) && download.CheckName(name) == nil {
			v.wantFile(l, name, true)
		}
	}
	return nil
}

// fetchFile downloads a file and gives it its name if it is right.
func (v *verification) fetchFile(ctx context.Context, f *file) (problem, error) {
	c, err := v.sworn(f.link)
	if err != nil {
		return problemOther, err
	}
	sums, listed := c.Artifacts[f.name]
	if !listed {
		return problemUnlisted, report.Refuse("the certificate does not have artifact %s, so nothing vouches for it", f.name)
	}
	if err := v.store.Hashes(sums); err != nil {
		return problemHash, fmt.Errorf("artifact %s: %w", f.name, err)
	}
	from, err := v.Source.Artifact(ctx, f.link.id, f.link.run, f.name)
	if errors.Is(err, ErrNotFound) {
		return problemAbsent, report.Refuse("there is no artifact %s in run %d", f.name, f.link.run)
	}
	if err == nil {
		defer from.Close()
		f.size, err = v.store.Keep(ctx, f.path(), from, sums)
	}
	switch {
	case err == nil:
		return problemNone, nil
	case report.VerdictOf(err) == report.Failed:
		return problemHash, fmt.Errorf("artifact %s: %w", f.name, err)
	}
	return problemOther, fmt.Errorf("cannot get artifact %s: %w", f.name, err)
}

// read returns a verified file that is held in memory.
func (v *verification) read(l *link, name string) ([]byte, error) {
	const limit = 32 << 20
	f := l.files[name]
	switch {
	case f == nil || !f.verified():
		return nil, fmt.Errorf("artifact %s of %s is not verified", name, l.id)
	case f.size > limit:
		return nil, report.Refuse("artifact %s of %s has more than %d bytes", name, l.id, limit)
	}
	return v.store.Dir.ReadFile(f.path())
}
