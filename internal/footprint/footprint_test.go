package footprint

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestStart watches how much garbage may be there.
func TestStart(t *testing.T) {
	percent := func() int {
		now := debug.SetGCPercent(-1)
		debug.SetGCPercent(now)
		return now
	}
	const usual = 90
	defer debug.SetGCPercent(debug.SetGCPercent(usual))
	synctest.Test(t, func(t *testing.T) {
		Start()
		if got := percent(); got != startGarbage {
			t.Errorf("garbage of a start is collected at %d %%", got)
		}
		time.Sleep(starting)
		synctest.Wait()
		if got := percent(); got != usual {
			t.Errorf("afterwards garbage is collected at %d %%", got)
		}
	})
}
