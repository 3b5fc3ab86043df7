package process

import "github.com/taskcluster/generic-worker/process/peer"

func (i Identity) name() (string, error) {
	if i.token == 0 {
		return peer.Self()
	}
	return peer.NameOf(i.token)
}

// belongs is not asked: no process is told from another of its user.
func belongs(string, int) bool { return true }
