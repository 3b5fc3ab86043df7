//go:build !linux

package taskdir

import (
	"os"
	"testing"
)

// asOrdinaryUser runs f unless this is root, who may do everything.
func asOrdinaryUser(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root reads files without permission")
	}
	f()
}
