// Package trust is what a deployment trusts, as data, and what follows from it
// for one task definition: its worker implementation, its pool, its repository,
// its scopes, whether people could get in. What other tasks say about it, and
// certificates, are for package chain.
package trust

import (
	"crypto/ed25519"
	"regexp"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// Profile is a generation of the chain of trust.
type Profile string

// The two generations: certificates that are clear-signed with OpenPGP, as
// verified by scriptworker 4, and those with an ed25519 signature beside them,
// as verified by the current one.
const (
	GPG     Profile = "gpg"
	Ed25519 Profile = "ed25519"
)

// Kind says how a task of some type is checked.
type Kind string

// The kinds of tasks.
const (
	KindParent       Kind = "parent"       // decision and action tasks; which of them, the task itself tells
	KindDockerImage  Kind = "docker-image" // builds images for others
	KindPlain        Kind = "plain"        // nothing of its own
	KindScriptworker Kind = "scriptworker" // runs on scriptworker only
)

// Policy is what a deployment trusts, as data. The zero value of a field
// trusts nothing, but for those where a default is given.
type Policy struct {
	Profile Profile
	// Compat takes the verdict of the Python verifier: rules that are stricter
	// are evaluated, reported as skipped, and do not count.
	Compat bool

	TaskTypes map[string]Kind
	ImplRules []ImplRule
	Keys      map[string]Keys // by worker implementation

	// ParentPools and ImagePools are where decision and action tasks, and
	// docker-image tasks may run: provisionerId/workerType in profile ed25519,
	// workerType in profile gpg.
	ParentPools, ImagePools []string
	// ImageCommands are the commands a docker-image task may have, if it has
	// any (profile gpg).
	ImageCommands [][]string
	// ImageAllowlist has, by task type, the hashes, as in sha256:<hex>, of the
	// images that tasks may use by name (profile gpg).
	ImageAllowlist map[string][]string
	// PrebuiltTypes are the types of tasks that may use images by name or from
	// the index (profile ed25519); the entry "any" allows all.
	PrebuiltTypes []string

	VCSRules         []VCSRule
	RestrictedScopes map[string]string   // scope, in profile ed25519 also with a * at its end -> level
	RestrictedTrees  map[string][]string // level -> paths of repositories, with the leading slash
	Untrusted        Untrusted
	TasksFor         []string // events decision tasks may be made for
	EnvPrefix        string   // of <prefix>_HEAD_REPOSITORY and its like, such as GECKO

	// Accept has what the environment of a certificate may say against it:
	// throwAwayKeys, keysReadableByTasks, interactive.
	Accept []string

	Algorithms []string // of artifacts' hashes; default sha256 and sha512
	Limits     Limits
}

// ImplRule says what shows that a task runs on a worker implementation. Any one
// of its conditions suffices.
type ImplRule struct {
	Implementation string
	PayloadValues  []string // members of the payload that are there and not empty, zero or false
	PayloadMembers []string // members of the payload that are there
	ScopePrefixes  []string
	Provisioners   []string
	WorkerTypes    []string
	Tag            bool // the task's tag worker-implementation names it
}

// Keys are what certificates of one worker implementation are signed with.
type Keys struct {
	Ed25519 []Key
	// OpenPGP signs certificates. With CertifiedBy, only those of its keys count
	// which one of these has certified.
	OpenPGP, CertifiedBy *gpg.Keyring
}

// Key is an ed25519 key. A certificate's time is when the queue says that
// its run was resolved.
type Key struct {
	Name      string // for people
	Public    ed25519.PublicKey
	NotBefore time.Time // zero: always
	NotAfter  time.Time // zero: for ever
	Revoked   time.Time // zero: it is not; a certificate from then on is refused
	Reason    string    // of the revocation
	Pools     []string  // provisionerId/workerType, as in path.Match; none: every pool
}

// VCSRule recognises repositories by their URL.
type VCSRule struct {
	Schemes []string
	Hosts   []string
	// Paths match the URL's path from its beginning; their group "path" is the
	// path of the repository.
	Paths []*regexp.Regexp
	// Owners are those whose repositories are official: tasks from any other
	// owner (first part of the path) count as pull requests. None: all are.
	Owners []string
	// Landed wants revisions that are on a branch of the repository; those of a
	// fork count as pull requests.
	Landed bool
}

// Untrusted recognises tasks which must not be in the chain of one with
// restricted scopes, wherever they come from.
type Untrusted struct {
	Paths        []string            // words in the first part of a repository's path, such as try
	Env          map[string][]string // environment variables of the payload and their values, such as MH_BRANCH: try
	SchedulerIDs []string
	TasksFor     []string // events, such as github-pull-request
}

// Limits bound what a chain may cost. Zero values stand for the defaults.
type Limits struct {
	Links        int   // without the task itself; 200
	Depth        int   // of a link below the task; 20, in profile gpg 5
	Parallel     int   // requests under way; 8
	Artifacts    int   // number; 10 000
	ArtifactSize int64 // bytes of one artifact; 16 GiB
	TotalSize    int64 // bytes of all artifacts; 64 GiB
}

// DefaultTaskTypes returns the types of tasks a profile is known for.
func DefaultTaskTypes(p Profile) map[string]Kind {
	types := map[string]Kind{
		"decision": KindParent, "docker-image": KindDockerImage,
		"build": KindPlain, "l10n": KindPlain, "repackage": KindPlain,
		"scriptworker": KindScriptworker, "signing": KindScriptworker, "balrog": KindScriptworker,
		"beetmover": KindScriptworker, "pushapk": KindScriptworker,
	}
	if p == Ed25519 {
		types["action"], types["parent"] = KindParent, KindParent
		types["partials"] = KindPlain
		types["bouncer"], types["shipit"] = KindScriptworker, KindScriptworker
	}
	return types
}

// DefaultImplRules returns how the implementations are told apart, but for
// the provisioners and worker types of scriptworker, which a deployment adds.
func DefaultImplRules(p Profile) []ImplRule {
	tag := p == Ed25519
	return []ImplRule{
		{Implementation: "docker-worker", PayloadValues: []string{"image"}, ScopePrefixes: []string{"docker-worker:"}, Tag: tag},
		{Implementation: "generic-worker", PayloadMembers: []string{"mounts", "osGroups"}, Tag: tag},
		{Implementation: "scriptworker", Provisioners: []string{"scriptworker-prov-v1"}, Tag: tag},
	}
}

// WithDefaults returns a copy whose zero limits and algorithms are filled in.
func (p *Policy) WithDefaults() *Policy {
	q := *p
	if len(q.Algorithms) == 0 {
		q.Algorithms = []string{"sha256", "sha512"}
	}
	depth := 20
	if q.Profile == GPG {
		depth = 5
	}
	l := &q.Limits
	l.Links, l.Depth = orDefault(l.Links, 200), orDefault(l.Depth, depth)
	l.Parallel, l.Artifacts = orDefault(l.Parallel, 8), orDefault(l.Artifacts, 10_000)
	l.ArtifactSize, l.TotalSize = orDefault(l.ArtifactSize, 16<<30), orDefault(l.TotalSize, 64<<30)
	return &q
}

func orDefault[T int | int64](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}
