//go:build unix

package process

import (
	"strconv"

	"github.com/taskcluster/generic-worker/process/peer"
	"github.com/taskcluster/generic-worker/process/table"
)

func (i Identity) name() (string, error) {
	if i.user == nil {
		return peer.Self()
	}
	return strconv.FormatUint(uint64(i.user.Uid), 10), nil
}

// belongs tells whether the process, or one it descends from below this
// process, carries the marker or is in one of its cgroups.
func belongs(marker string, pid int) bool {
	var reader table.Reader
	for pid := range reader.Lineage(pid) {
		if inGroupOf(marker, pid) || table.Carries(pid, marker) {
			return true
		}
	}
	return false
}
