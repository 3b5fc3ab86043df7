package queue_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func TestQ1_RetrySchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		c := offline(func(*http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			return respond(503, "{}"), nil
		})
		began := time.Now()
		_, err := c.Status(t.Context(), "x")
		if !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("Status: %v", err)
		}
		if took := time.Since(began); took > 15*time.Minute || took < 14*time.Minute {
			t.Errorf("gave up after %s, want just below 15 minutes", took)
		}
		distinct := make(map[time.Duration]bool)
		pause := 500 * time.Millisecond
		for i := 1; i < len(at); i++ {
			waited := at[i].Sub(at[i-1])
			if waited < pause/2 || waited > pause*3/2 {
				t.Errorf("pause %d is %s, want %s ± 50 %%", i, waited, pause)
			}
			distinct[waited] = true
			pause = min(2*pause, 30*time.Second)
		}
		if len(distinct) < len(at)/2 {
			t.Error("pauses have no jitter")
		}
	})
}

// Capacity 1 in an outage: no more than one request a second over any minute.
func TestI11_PoliteInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		c := offline(func(*http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			return nil, io.ErrUnexpectedEOF
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.Resolve(ctx, queue.Claim{TaskID: "x"}, queue.Outcome{State: "completed"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Resolve: %v", err)
		}
		if n := len(at); n < 60 || at[n-1].Sub(at[0]) < 59*time.Minute {
			t.Errorf("%d attempts in %s: Resolve gave up", n, at[n-1].Sub(at[0]))
		}
		for i := range at {
			n := 0
			for _, other := range at[i:] {
				if other.Sub(at[i]) < time.Minute {
					n++
				}
			}
			if n > 60 {
				t.Fatalf("%d requests in the minute after request %d", n, i)
			}
		}
	})
}

func TestQ1_RetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"7":                    7 * time.Second,
		"120":                  2 * time.Minute,
		"86400":                5 * time.Minute, // no more than that is honoured
		"date":                 90 * time.Second,
		"-1":                   0,
		"soon":                 0,
		"99999999999999999999": 0,
	} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				c := offline(func(*http.Request) (*http.Response, error) {
					at = append(at, time.Now())
					if len(at) > 1 {
						return respond(200, `{"alive": true}`), nil
					}
					text := value
					if value == "date" {
						text = time.Now().UTC().Add(90 * time.Second).Format(http.TimeFormat)
					}
					return respond(status, `{"code": "x", "message": "y"}`, "Retry-After", text), nil
				})
				if err := c.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				if waited := at[1].Sub(at[0]); waited < want || waited > want+time.Second {
					t.Errorf("%d with Retry-After %s: waited %s, want %s", status, value, waited, want)
				}
			})
		}
	}
}

// The worker's loop waits between claims, so the client hands the wish on.
func TestQ1_RetryAfterOfAClaim(t *testing.T) {
	t.Parallel()
	c := offline(func(*http.Request) (*http.Response, error) {
		return respond(429, `{"code": "x", "message": "y"}`, "Retry-After", "17"), nil
	})
	_, err := c.Claim(t.Context(), worker, 1)
	if got := queue.RetryAfter(err); got != 17*time.Second || !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("RetryAfter(%v) = %s", err, got)
	}
	if got := queue.RetryAfter(errors.New("other")); got != 0 {
		t.Errorf("RetryAfter of another error: %s", got)
	}
}

// The Taskcluster client sleeps on when its context is cancelled.
func TestCancelInterruptsBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("claim lost")
		c := offline(func(*http.Request) (*http.Response, error) {
			return respond(503, "{}", "Retry-After", "200"), nil
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { cancel(lost) })
		began := time.Now()
		_, err := c.Reclaim(ctx, queue.Claim{TaskID: "x"})
		if !errors.Is(err, lost) || time.Since(began) != 10*time.Second {
			t.Errorf("Reclaim: %v after %s", err, time.Since(began))
		}
	})
}

func TestQ3_LimitsOfOneAttempt(t *testing.T) {
	t.Parallel()
	hang := transport(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	stuck := transport(func(r *http.Request) (*http.Response, error) {
		resp := respond(200, "")
		resp.ContentLength = 10
		resp.Body = dripping{r.Context(), 24 * time.Hour}
		return resp, nil
	})
	slow := transport(func(r *http.Request) (*http.Response, error) {
		resp := respond(200, "")
		resp.ContentLength = 1e6
		resp.Body = dripping{r.Context(), time.Second}
		return resp, nil
	})
	for _, row := range []struct {
		name   string
		answer transport
		call   func(context.Context, *queue.Client) error
		most   time.Duration
	}{
		{"hanging ping", hang, ping, 60 * time.Second},
		{"hanging claim", hang, claim, 60 * time.Second},
		{"stuck body", stuck, ping, 60 * time.Second},
		{"slow body", slow, ping, 5 * time.Minute}, // Q4
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var began, again time.Time
				c := offline(func(r *http.Request) (*http.Response, error) {
					if began.IsZero() {
						began = time.Now()
						return row.answer(r)
					}
					again = time.Now()
					return respond(200, `{"tasks": []}`), nil
				})
				err := row.call(t.Context(), c)
				if again.IsZero() { // a claim is made once
					again = time.Now()
				} else if err != nil {
					t.Error(err)
				}
				if took := again.Sub(began); took > row.most+time.Second || took < 25*time.Second {
					t.Errorf("the attempt was given up after %s, want at most %s", took, row.most)
				}
			})
		})
	}
}

func ping(ctx context.Context, c *queue.Client) error { return c.Ping(ctx) }

func claim(ctx context.Context, c *queue.Client) error {
	_, err := c.Claim(ctx, worker, 1)
	return err
}

// dripping is a body that gives a byte whenever a pause is over.
type dripping struct {
	ctx   context.Context
	pause time.Duration
}

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-time.After(d.pause):
		return copy(p, " "), nil
	}
}

func (dripping) Close() error { return nil }

func TestRetriesAreLoggedOnceEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logged
		n := 0
		c := offline(func(*http.Request) (*http.Response, error) {
			if n++; n < 4 {
				return nil, errors.New("no route to host")
			}
			return respond(200, "{}"), nil
		})
		c.Log = log.logger()
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 3 || strings.Count(log.String(), "call=ping") != 3 {
			t.Errorf("%d lines:\n%s", lines, log.String())
		}
	})
}

func TestQ13_ManyWorkersComeBackSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outage := time.Now().Add(5 * time.Minute)
		var back []time.Duration
		done := make(chan time.Duration)
		for range 100 {
			go func() {
				c := offline(func(*http.Request) (*http.Response, error) {
					if time.Now().Before(outage) {
						return nil, io.ErrUnexpectedEOF
					}
					return respond(200, "{}"), nil
				})
				if err := c.Ping(t.Context()); err != nil {
					t.Error(err)
				}
				done <- time.Since(outage)
			}()
		}
		for range 100 {
			back = append(back, <-done)
		}
		for from := time.Duration(0); from < 45*time.Second; from += time.Second {
			n := 0
			for _, d := range back {
				if d >= from && d < from+time.Second {
					n++
				}
			}
			if n > 20 {
				t.Errorf("%d of 100 workers came back within one second", n)
			}
		}
	})
}
