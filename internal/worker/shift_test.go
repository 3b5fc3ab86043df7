package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/task"
)

// TestL7BrokenMachine: a worker whose machine can run nothing claims ever more
// slowly, and soon not at all.
func TestL7BrokenMachine(t *testing.T) {
	t.Parallel()
	s := &shift{worker: &Worker{Config: Config{Capacity: 1}}}
	ends := func(resolutions ...task.Resolution) (pause time.Duration, stop Stop, err error) {
		for _, r := range resolutions {
			s.running++
			s.note(r)
			pause = s.pace.After(1, nil, time.Second)
		}
		stop, err, _ = s.reasonToStop(t.Context(), t.Context())
		return pause, stop, err
	}
	const broken = task.InternalError
	for _, row := range []struct {
		ends  []task.Resolution
		pause time.Duration
		unfit bool
	}{
		{[]task.Resolution{broken, broken}, 0, false},
		{[]task.Resolution{broken}, time.Minute, false},
		{[]task.Resolution{broken}, 2 * time.Minute, false},
		{[]task.Resolution{task.Failed}, 0, false},
		{[]task.Resolution{broken, broken, broken, broken}, 2 * time.Minute, false},
		{[]task.Resolution{broken}, 4 * time.Minute, true},
	} {
		pause, stop, err := ends(row.ends...)
		if unfit := stop == Unfit && errors.Is(err, errMisfit); unfit != row.unfit || pause != row.pause {
			t.Errorf("after %v more the pause is %v; stopped: %d, %v", row.ends, pause, stop, err)
		}
	}
}
