package backoff

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		after, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"7", "", 7 * time.Second},
		{"-7", "", 0},
		{"99999999999", "", 0},
		{"soon", "", 0},
		{now.Add(time.Minute).Format(http.TimeFormat), "", time.Minute},
		{now.Add(-time.Minute).Format(http.TimeFormat), "", 0},
		{now.Add(time.Hour).Format(http.TimeFormat), now.Add(59 * time.Minute).Format(http.TimeFormat), time.Minute},
	} {
		h := http.Header{"Retry-After": {c.after}, "Date": {c.date}}
		if got := RetryAfter(h, now); got != c.want {
			t.Errorf("Retry-After: %q, Date: %q: %s, want %s", c.after, c.date, got, c.want)
		}
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := Jitter(time.Second)
		least, most = min(least, d), max(most, d)
	}
	if least < time.Second/2 || most > 3*time.Second/2 || most-least < time.Second/2 {
		t.Errorf("from %v to %v", least, most)
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, stop := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		time.AfterFunc(time.Second, func() { stop(why) })
		begin = time.Now()
		if err := Sleep(ctx, time.Minute); err != why || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
