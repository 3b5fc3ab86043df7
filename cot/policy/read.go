package policy

import (
	"cmp"
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/document"
)

// file is the policy file, in the form that its schema has.
type file struct {
	RootURL          string                `json:"rootURL"`
	Storage          []string              `json:"storage"`
	Profile          chain.Profile         `json:"profile"`
	Compat           bool                  `json:"compat"`
	TaskTypes        map[string]chain.Kind `json:"taskTypes"`
	Implementations  []implementation      `json:"implementations"`
	Keys             map[string]keys       `json:"keys"`
	KeyState         string                `json:"keyState"`
	Accept           []string              `json:"accept"`
	ParentPools      []string              `json:"parentPools"`
	ImagePools       []string              `json:"imagePools"`
	ImageCommands    [][]string            `json:"imageCommands"`
	ImageAllowlist   map[string][]string   `json:"imageAllowlist"`
	PrebuiltTypes    []string              `json:"prebuiltTypes"`
	VCS              []vcs                 `json:"vcs"`
	RestrictedScopes map[string]string     `json:"restrictedScopes"`
	RestrictedTrees  map[string][]string   `json:"restrictedTrees"`
	Untrusted        untrusted             `json:"untrusted"`
	TasksFor         []string              `json:"tasksFor"`
	EnvPrefix        string                `json:"envPrefix"`
	CommentVariable  string                `json:"commentVariable"`
	Programs         []string              `json:"programs"`
	Projects         []project             `json:"projects"`
	ProjectsFile     string                `json:"projectsFile"`
	Servers          map[string]Server     `json:"servers"`
	Redirects        []string              `json:"redirects"`
	Repositories     string                `json:"repositories"`
	Algorithms       []string              `json:"algorithms"`
	Limits           limits                `json:"limits"`
}

type implementation struct {
	Name           string   `json:"name"`
	PayloadValues  []string `json:"payloadValues"`
	PayloadMembers []string `json:"payloadMembers"`
	ScopePrefixes  []string `json:"scopePrefixes"`
	Provisioners   []string `json:"provisioners"`
	WorkerTypes    []string `json:"workerTypes"`
	Tag            bool     `json:"tag"`
}

type keys struct {
	Ed25519     []key    `json:"ed25519"`
	OpenPGP     []string `json:"openpgp"`
	CertifiedBy []string `json:"certifiedBy"`
}

type key struct {
	Key       string    `json:"key"`
	Name      string    `json:"name"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Revoked   time.Time `json:"revoked"`
	Reason    string    `json:"reason"`
	Pools     []string  `json:"pools"`
}

type vcs struct {
	Schemes []string `json:"schemes"`
	Hosts   []string `json:"hosts"`
	Paths   []string `json:"paths"`
	Owners  []string `json:"owners"`
	Landed  bool     `json:"landed"`
}

type untrusted struct {
	Paths        []string            `json:"paths"`
	Env          map[string][]string `json:"env"`
	SchedulerIDs []string            `json:"schedulerIds"`
	TasksFor     []string            `json:"tasksFor"`
}

type project struct {
	Name       string `json:"name"`
	Repository string `json:"repository"`
	Level      string `json:"level"`
}

type limits struct {
	Links        int   `json:"links"`
	Depth        int   `json:"depth"`
	Parallel     int   `json:"parallel"`
	Artifacts    int   `json:"artifacts"`
	ArtifactSize int64 `json:"artifactSize"`
	TotalSize    int64 `json:"totalSize"`
}

// reader turns the file into a Deployment and notes what is wrong with it.
type reader struct {
	doc      *document.Document
	dir      string
	file     file
	problems document.Problems
}

func (r *reader) complain(what, remedy string, at ...string) {
	r.problems = append(r.problems, r.doc.Problem(document.Pointer(at...), what, remedy))
}

// path returns a path of the file as one that does not depend on where the
// program runs.
func (r *reader) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.dir, filepath.FromSlash(name))
}

func (r *reader) deployment(ctx context.Context) *Deployment {
	f := r.file
	return &Deployment{
		RootURL: f.RootURL, Storage: f.Storage, Policy: r.policy(ctx),
		Servers: f.Servers, Redirects: f.Redirects, Repositories: r.path(f.Repositories),
		Projects: r.projects(), CommentVariable: f.CommentVariable, Programs: f.Programs,
	}
}

func (r *reader) policy(ctx context.Context) *chain.Policy {
	f := r.file
	p := &chain.Policy{
		Profile: f.Profile, Compat: f.Compat,
		TaskTypes: f.TaskTypes, ImplRules: trust.DefaultImplRules(f.Profile), Keys: map[string]chain.Keys{},
		ParentPools: f.ParentPools, ImagePools: f.ImagePools, ImageCommands: f.ImageCommands,
		ImageAllowlist: f.ImageAllowlist, PrebuiltTypes: f.PrebuiltTypes,
		VCSRules: r.vcsRules(), RestrictedScopes: f.RestrictedScopes, RestrictedTrees: f.RestrictedTrees,
		Untrusted: chain.Untrusted(f.Untrusted), TasksFor: f.TasksFor, EnvPrefix: f.EnvPrefix,
		Accept: f.Accept, Algorithms: f.Algorithms, Limits: chain.Limits(f.Limits),
	}
	if f.TaskTypes == nil {
		p.TaskTypes = trust.DefaultTaskTypes(f.Profile)
	}
	if f.Implementations != nil {
		p.ImplRules = nil
		for _, i := range f.Implementations {
			p.ImplRules = append(p.ImplRules, chain.ImplRule{
				Implementation: i.Name, PayloadValues: i.PayloadValues, PayloadMembers: i.PayloadMembers,
				ScopePrefixes: i.ScopePrefixes, Provisioners: i.Provisioners, WorkerTypes: i.WorkerTypes, Tag: i.Tag,
			})
		}
	}
	for name := range f.Keys {
		p.Keys[name] = r.keys(name)
	}
	r.stored(ctx, p.Keys)
	return p
}

// keys are those of one worker implementation.
func (r *reader) keys(name string) chain.Keys {
	from := r.file.Keys[name]
	var k chain.Keys
	for i, e := range from.Ed25519 {
		public, err := cot.ReadEd25519Public(e.Key)
		if err != nil {
			r.complain("cannot be used: "+err.Error(), "write a line that new-ed25519-keypair prints", "keys", name, "ed25519", strconv.Itoa(i), "key")
			continue
		}
		k.Ed25519 = append(k.Ed25519, chain.Key{
			Name: e.Name, Public: public, NotBefore: e.NotBefore, NotAfter: e.NotAfter,
			Revoked: e.Revoked, Reason: cmp.Or(e.Reason, "no reason is given"), Pools: e.Pools,
		})
	}
	k.OpenPGP = r.ring(from.OpenPGP, "keys", name, "openpgp")
	k.CertifiedBy = r.ring(from.CertifiedBy, "keys", name, "certifiedBy")
	return k
}

// ring reads the keys in files. It is nil if none are named.
func (r *reader) ring(files []string, at ...string) *gpg.Keyring {
	if files == nil {
		return nil
	}
	ring := gpg.NewKeyring()
	for i, name := range files {
		found, err := keyrepo.ReadKeys(r.path(name))
		if err != nil {
			r.complain("cannot be used: "+err.Error(), "name a file, or a directory of files, with OpenPGP public keys", append(at[:len(at):len(at)], strconv.Itoa(i))...)
			continue
		}
		ring = ring.Merge(found)
	}
	return ring
}

// stored adds the keys of the key repository.
func (r *reader) stored(ctx context.Context, all map[string]chain.Keys) {
	if r.file.KeyState == "" {
		return
	}
	set, err := keyrepo.Store{Dir: filepath.Join(r.path(r.file.KeyState), "keys")}.Current(ctx)
	if err != nil {
		r.complain("cannot be used: "+err.Error(), "", "keyState")
		return
	}
	for _, name := range set.Implementations() {
		found, err := set.Keys(name)
		own := all[name]
		switch {
		case err != nil:
			r.complain("cannot be used: "+err.Error(), "", "keyState")
		case own.OpenPGP != nil || own.CertifiedBy != nil:
			r.complain("has OpenPGP keys here and in /keyState", "remove them in one of the places", "keys", name)
		default:
			own.OpenPGP, own.CertifiedBy = found.OpenPGP, found.CertifiedBy
			all[name] = own
		}
	}
}

func (r *reader) vcsRules() []chain.VCSRule {
	var rules []chain.VCSRule
	for i, v := range r.file.VCS {
		rule := chain.VCSRule{Schemes: v.Schemes, Hosts: v.Hosts, Owners: v.Owners, Landed: v.Landed}
		for j, text := range v.Paths {
			at := []string{"vcs", strconv.Itoa(i), "paths", strconv.Itoa(j)}
			expression, err := regexp.Compile(text)
			switch {
			case err != nil:
				r.complain("is no regular expression: "+err.Error(), "", at...)
			case expression.SubexpIndex("path") < 0:
				r.complain("has no group that is named path", `write for example ^(?P<path>/[^/]+)`, at...)
			default:
				rule.Paths = append(rule.Paths, expression)
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

func (r *reader) projects() []template.Project {
	var all []template.Project
	for _, p := range r.file.Projects {
		all = append(all, template.Project(p))
	}
	if r.file.ProjectsFile == "" {
		return all
	}
	text, err := readFile(r.path(r.file.ProjectsFile))
	if err == nil {
		var more []template.Project
		if more, err = template.ReadProjects(text); err == nil {
			return append(all, more...)
		}
	}
	r.complain("cannot be used: "+err.Error(), "", "projectsFile")
	return all
}
