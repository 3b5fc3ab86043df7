package mounts

import (
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/internal/task"
)

// between is the shortest time between two lines about one download.
const between = 4 * time.Second

// progress tells the log how a long download goes. Its lines do not wait for
// their turn.
type progress struct {
	log   *task.Log
	title string

	at   time.Time // of the last line; of the beginning, if there was none
	done int64     // bytes by then
}

// tell is told the bytes that were read, of how many; -1 if that is not known.
func (p *progress) tell(done, total int64) {
	now := time.Now()
	passed := now.Sub(p.at)
	if passed < between || done == total {
		return
	}
	p.log.Info("[mounts] Downloading %s: %s", p.title, pace(done, total, float64(done-p.done)/passed.Seconds()))
	p.at, p.done = now, done
}

// retry is told why a download pauses.
func (p *progress) retry(err error, wait time.Duration) {
	p.log.Warn("[mounts] Downloading %s: %v; trying again in %v", p.title, err, wait.Round(100*time.Millisecond))
}

// pace says how far a download is, how fast, and how long it still takes. Its
// rate is in bytes per second.
func pace(done, total int64, rate float64) string {
	const mib = 1 << 20
	if total < done {
		return fmt.Sprintf("%.1f MiB, %.1f MiB/s", float64(done)/mib, rate/mib)
	}
	text := fmt.Sprintf("%.1f of %.1f MiB, %.1f MiB/s", float64(done)/mib, float64(total)/mib, rate/mib)
	if rate > 0 {
		text += ", " + time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return text
}
