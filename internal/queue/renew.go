package queue

import (
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/mask"
)

type runKey struct {
	taskID string
	runID  int
}

func (c Claim) key() runKey { return runKey{c.TaskID, c.RunID} }

// renewals knows the newest credentials of every claimed run, so that an
// attempt made long after its call began does not sign with expired ones.
type renewals struct {
	mu   sync.Mutex
	runs map[runKey]*renewal
}

type renewal struct {
	newest Claim
	// older are the access tokens that newest replaces. A claim with any other
	// token is signed with what it carries.
	older map[mask.Secret]bool
}

// newest returns the credentials to sign with for a claim.
func (r *renewals) newest(claim Claim) Credentials {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.runs[claim.key()]; known != nil && known.older[claim.Credentials.AccessToken] {
		return known.newest.Credentials
	}
	return claim.Credentials
}

// add records that fresh replaces claim.
func (r *renewals) add(claim, fresh Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs = make(map[runKey]*renewal)
	}
	r.dropExpired(fresh.Received)
	known := r.runs[claim.key()]
	if known == nil {
		known = &renewal{older: make(map[mask.Secret]bool)}
		r.runs[claim.key()] = known
	}
	known.older[claim.Credentials.AccessToken] = true
	if known.newest.TakenUntil.After(fresh.TakenUntil) { // two reclaims crossed
		known.older[fresh.Credentials.AccessToken] = true
		return
	}
	known.older[known.newest.Credentials.AccessToken] = true
	delete(known.older, "")
	delete(known.older, fresh.Credentials.AccessToken)
	fresh.Task = nil // not needed for signing, and may be large
	known.newest = fresh
}

// forget drops a run that needs no more calls.
func (r *renewals) forget(claim Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, claim.key())
}

// dropExpired drops runs that were lost and so are never forgotten.
func (r *renewals) dropExpired(now time.Time) {
	for key, known := range r.runs {
		if now.After(known.newest.Expires) {
			delete(r.runs, key)
		}
	}
}
