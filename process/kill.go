package process

import (
	"fmt"
	"time"
)

// prey are processes to be killed to the last one.
type prey interface {
	living() members // those alive now, held so that no other can be meant
	kill(members)    // these, and what else can be killed with them
}

// slay kills until nothing is alive, for as long as patience, and returns what
// then is.
func slay(p prey, alive members, patience time.Duration) members {
	for deadline := time.Now().Add(patience); len(alive) > 0; {
		p.kill(alive)
		alive = outlast(p, alive, min(time.Second, time.Until(deadline)))
		if time.Now().After(deadline) {
			break
		}
	}
	return alive
}

// outlast waits until nothing is alive, at most d, and returns what then is.
func outlast(p prey, alive members, d time.Duration) members {
	for deadline := time.Now().Add(d); len(alive) > 0; {
		began := time.Now()
		alive.wait(deadline)
		alive.close()
		alive = p.living()
		if time.Now().After(deadline) {
			break
		}
		if pause := rescan - time.Since(began); len(alive) > 0 && pause > 0 {
			time.Sleep(pause) // processes that come and go must not keep us searching
		}
	}
	return alive
}

func (ms members) names() []string {
	var names []string
	for _, m := range ms[:min(len(ms), mostKilled)] {
		names = append(names, fmt.Sprintf("%d %s", m.PID, m.Name))
	}
	return names
}
