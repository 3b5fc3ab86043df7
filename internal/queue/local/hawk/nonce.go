package hawk

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxNonces bounds one generation of remembered nonces, and with it memory:
// two generations take about 20 MiB.
const maxNonces = 1 << 18

// nonces remembers the requests that were seen, in two generations. Each is
// remembered for as long as its timestamp would be accepted, unless more than
// maxNonces arrive in that time. A restart forgets them.
type nonces struct {
	mu       sync.Mutex
	now, old map[[16]byte]struct{}
	since    time.Time
}

func newNonces() *nonces {
	return &nonces{now: map[[16]byte]struct{}{}}
}

// add remembers a request; it returns false if it was seen before.
func (n *nonces) add(at time.Time, id, ts, nonce string) bool {
	sum := sha256.Sum256([]byte(id + "\x00" + ts + "\x00" + nonce))
	key := [16]byte(sum[:16])
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Sub(n.since) > 2*skew || len(n.now) >= maxNonces {
		n.old, n.now, n.since = n.now, map[[16]byte]struct{}{}, at
	}
	if _, seen := n.now[key]; seen {
		return false
	}
	if _, seen := n.old[key]; seen {
		return false
	}
	n.now[key] = struct{}{}
	return true
}
