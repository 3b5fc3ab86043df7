package trust

import (
	"crypto/ed25519"
	"path"
	"slices"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/gpg"
)

// early is how long before the start of its run a certificate may seem to be
// verified: as long as the clocks of a worker, of the queue and of whoever asks
// (package gpg has its own allowance) may differ.
const early = 20 * time.Minute

// Opened is a certificate whose signature is right.
type Opened struct {
	*cot.Certificate
	Signer string // for people
	// Root says that it is signed by a key that should only certify others.
	Root bool
	// Early says that it was signed before the run began.
	Early bool
}

// Signing is what the queue says about the run of a certificate.
type Signing struct {
	Started, Resolved time.Time
	Pool              string
}

// OpenEd25519 opens a certificate with the signature beside it. Errors refuse.
func (k Keys) OpenEd25519(body, signature []byte, run Signing) (Opened, error) {
	public := make([]ed25519.PublicKey, len(k.Ed25519))
	for i, key := range k.Ed25519 {
		public[i] = key.Public
	}
	c, by, err := cot.OpenEd25519(body, signature, public)
	if err != nil {
		return Opened{}, report.Refuse("%v", err)
	}
	// The key may be listed more than once, each time for a while or some pools.
	var refused error
	for _, key := range k.Ed25519 {
		if !key.Public.Equal(public[by]) {
			continue
		}
		if refused = key.usable(run); refused == nil {
			return Opened{Certificate: c, Signer: key.title()}, nil
		}
	}
	return Opened{}, refused
}

// title is what to call the key: its name, or else the beginning of its id.
func (k Key) title() string {
	if k.Name != "" {
		return k.Name
	}
	return cot.KeyID(k.Public)[:16]
}

// usable refuses the key for the certificate of a run.
func (k Key) usable(run Signing) error {
	at, when := run.Resolved, run.Resolved.UTC().Format(time.RFC3339)
	switch {
	case !k.NotBefore.IsZero() && at.Before(k.NotBefore):
		return report.Refuse("it is signed by key %s, which was not valid yet when the run was resolved (%s)", k.title(), when)
	case !k.NotAfter.IsZero() && at.After(k.NotAfter):
		return report.Refuse("it is signed by key %s, which was no longer valid when the run was resolved (%s)", k.title(), when)
	case !k.Revoked.IsZero() && !at.Before(k.Revoked):
		return report.Refuse("it is signed by key %s, which had been revoked when the run was resolved (%s): %s", k.title(), when, k.Reason)
	}
	matches := func(pattern string) bool {
		ok, err := path.Match(pattern, run.Pool)
		return ok && err == nil
	}
	if len(k.Pools) > 0 && !slices.ContainsFunc(k.Pools, matches) {
		return report.Refuse("it is signed by key %s, which is not for pool %s", k.title(), run.Pool)
	}
	return nil
}

// OpenClearSigned opens a clear-signed certificate. Errors refuse.
func (k Keys) OpenClearSigned(file []byte, run Signing) (Opened, error) {
	ring := gpg.NewKeyring()
	for _, keys := range []*gpg.Keyring{k.OpenPGP, k.CertifiedBy} {
		if keys != nil {
			ring = ring.Merge(keys)
		}
	}
	c, by, err := cot.OpenClearSigned(file, ring, run.Resolved)
	if err != nil {
		return Opened{}, report.Refuse("%v", err)
	}
	o := Opened{Certificate: c, Signer: by.Fingerprint()}
	if names := by.Identities(); len(names) > 0 {
		o.Signer = names[0] + " " + o.Signer
	}
	// Only signatures of the past verify, so one that did before the run began
	// is older than that.
	_, _, err = cot.OpenClearSigned(file, ring, run.Started.Add(-early))
	o.Early = err == nil
	if k.CertifiedBy == nil {
		return o, nil
	}
	if _, o.Root = k.CertifiedBy.Find(by.Fingerprint()); o.Root {
		return o, nil
	}
	if _, err := k.CertifiedBy.Certifies(by, run.Resolved); err != nil {
		return Opened{}, report.Refuse("it is signed by %s: %v", o.Signer, err)
	}
	return o, nil
}

// ByWorker refuses a certificate that is signed by a key which should only
// certify others.
func (o Opened) ByWorker() error {
	if o.Root {
		return report.Refuse("it is signed by %s, which is for certifying workers' keys and not for certificates", o.Signer)
	}
	return nil
}

// InTime refuses a certificate that is older than its run.
func (o Opened) InTime() error {
	if o.Early {
		return report.Refuse("it was signed before the run began")
	}
	return nil
}

// OfTask refuses the certificate of another task.
func (o Opened) OfTask(taskID string) error {
	if o.TaskID != taskID {
		return report.Refuse("the certificate is that of task %s", o.TaskID)
	}
	return nil
}

// OfRun refuses the certificate of another run.
func (o Opened) OfRun(runID int) error {
	if o.RunID != runID {
		return report.Refuse("the certificate is that of run %d, and the task was resolved by run %d", o.RunID, runID)
	}
	return nil
}

// OfDefinition refuses the certificate of a worker that ran another definition.
func (o Opened) OfDefinition(task definition.Object) error {
	sworn, err := definition.Parse(o.Task)
	if err != nil {
		return report.Refuse("the certificate's task cannot be read: %v", err)
	}
	if path, differ := definition.Diff(sworn, task); differ {
		return report.Refuse("the worker ran another definition than the queue has: %s differs", path)
	}
	return nil
}

// doubts are what a worker says in the environment of a certificate that
// proves little.
var doubts = []struct{ name, meaning string }{
	{"throwAwayKeys", "it is signed with a key that was made for this one task"},
	{"keysReadableByTasks", "it is signed with a key that the task itself could have read"},
	{"interactive", "people could log in while the task ran"},
}

// Environment refuses a certificate in which the worker says itself that it
// proves little, unless the policy accepts that.
func (p *Policy) Environment(o Opened) error {
	for _, doubt := range doubts {
		value := string(o.Environment[doubt.name])
		if value != "" && value != "false" && !slices.Contains(p.Accept, doubt.name) {
			return report.Refuse("%s: its environment says %s", doubt.meaning, doubt.name)
		}
	}
	return nil
}
