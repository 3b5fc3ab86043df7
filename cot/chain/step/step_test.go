package step

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	var o Outcome[int]
	if _, err := o.Get(); !errors.Is(err, ErrNotReached) || !errors.Is(o.Err(), ErrNotReached) || o.Value() != 0 {
		t.Errorf("before: %v", err)
	}
	o.Set(5, nil)
	if value, err := o.Get(); value != 5 || err != nil || o.Err() != nil || o.Value() != 5 {
		t.Errorf("after: %d, %v", value, err)
	}
	why := errors.New("because")
	o.Set(0, why)
	if _, err := o.Get(); !errors.Is(err, why) {
		t.Errorf("after an error: %v", err)
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 3, 100} {
		var mu sync.Mutex
		var done, faults []int
		running, most := 0, 0
		ready := make(chan struct{})
		Work[int]{
			Limit: limit,
			Do: func(_ context.Context, i int) {
				mu.Lock()
				running++
				if most = max(most, running); running == min(limit, 10) {
					select {
					case <-ready:
					default:
						close(ready)
					}
				}
				mu.Unlock()
				<-ready // until as many are here as may be
				mu.Lock()
				defer mu.Unlock()
				running--
				if i == 7 {
					panic("seven")
				}
				done = append(done, i)
			},
			Fault: func(i int, err error) {
				if err.Error() != "internal error: seven" {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, i)
			},
		}.Each(t.Context(), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
		slices.Sort(done)
		if !slices.Equal(done, []int{0, 1, 2, 3, 4, 5, 6, 8, 9}) || !slices.Equal(faults, []int{7}) || most != min(limit, 10) {
			t.Errorf("limit %d: done %v, faults %v, %d at a time", limit, done, faults, most)
		}
	}
}

func TestEachEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	Work[int]{Limit: 1, Do: func(context.Context, int) { n++; cancel() }}.Each(ctx, make([]int, 100))
	if n > 2 {
		t.Errorf("%d were begun", n)
	}
	Work[int]{Limit: 1}.Each(t.Context(), nil)
}
