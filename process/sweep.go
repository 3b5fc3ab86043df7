package process

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Sweep kills every process whose environment carries marker, a NAME=value
// pair, with its descendants, and every process in a cgroup that a Command with
// this Marker left; it removes those cgroups. It returns what it killed as
// "pid name", at most 50 of them, also beside an error. It never kills the
// calling process or one that this descends from. What is still alive half a
// minute after the kill is named in an [*UnkillableError].
//
// It is for a worker that starts again after it was killed: the first process
// of each command died with it, but not what that had started. On Windows
// nothing survives the worker, and the error is [errors.ErrUnsupported].
func Sweep(ctx context.Context, marker string) ([]string, error) {
	if name, _, ok := strings.Cut(marker, "="); !ok || name == "" {
		return nil, fmt.Errorf("cannot search for processes by %q: the marker must be NAME=value", marker)
	}
	s, err := newSweeper(marker)
	if err != nil {
		return nil, err
	}
	var killed []string
	alive := s.living()
	if len(alive) == 0 { // a process in the middle of exec shows no environment
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(rescan):
			alive = s.living()
		}
	}
	for deadline := time.Now().Add(patience); len(alive) > 0; {
		if len(killed) < mostKilled {
			killed = append(killed, alive.names()...)
			killed = killed[:min(len(killed), mostKilled)]
		}
		alive = slay(s, alive, time.Second)
		switch {
		case len(alive) == 0:
		case ctx.Err() != nil:
			alive.close()
			return killed, context.Cause(ctx)
		case time.Now().After(deadline):
			defer alive.close()
			return killed, &UnkillableError{Left: alive.names()}
		}
	}
	s.close()
	return killed, nil
}
