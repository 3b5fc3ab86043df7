package chain

import "github.com/taskcluster/generic-worker/cot/chain/trust"

// A policy and its parts have their names here, too, for those who fill one in
// and hand it to Verify.
type (
	// Policy is what a deployment trusts.
	Policy = trust.Policy
	// Profile is a generation of the chain of trust.
	Profile = trust.Profile
	// Kind says how a task of some type is checked.
	Kind = trust.Kind
	// ImplRule says what shows that a task runs on a worker implementation.
	ImplRule = trust.ImplRule
	// Keys are what certificates of one worker implementation are signed with.
	Keys = trust.Keys
	// Key is an ed25519 key.
	Key = trust.Key
	// VCSRule recognises repositories by their URL.
	VCSRule = trust.VCSRule
	// Untrusted recognises tries and pull requests.
	Untrusted = trust.Untrusted
	// Limits bound what a chain may cost.
	Limits = trust.Limits
)

// The profiles and kinds of a policy.
const (
	GPG              = trust.GPG
	Ed25519          = trust.Ed25519
	KindParent       = trust.KindParent
	KindDockerImage  = trust.KindDockerImage
	KindPlain        = trust.KindPlain
	KindScriptworker = trust.KindScriptworker
)
