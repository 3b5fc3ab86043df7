package queue_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	hawk "github.com/tent/hawk-go"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// verify checks a request's signature as the queue does, over what stood on
// the request line.
func verify(r *http.Request, key string, now time.Time) (*hawk.Auth, error) {
	auth, err := hawk.NewAuthFromRequest(r, func(c *hawk.Credentials) error {
		c.Key, c.Hash = key, sha256.New
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	auth.RequestURI = r.RequestURI
	if auth.RequestURI == "" {
		auth.RequestURI = r.URL.RequestURI()
	}
	auth.ActualTimestamp = now
	return auth, auth.Valid()
}

func TestT7_SignaturesVerify(t *testing.T) {
	t.Parallel()
	certificate := `{"version": 1, "scopes": ["` + strings.Repeat("a", 5000) + `", "ü"], "start": 1, "expiry": 2, "seed": "s", "signature": "g", "issuer": "i"}`
	var bad atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth, err := verify(r, "the-token", time.Now())
		var ext struct{ Certificate json.RawMessage }
		if err == nil {
			var raw []byte
			if raw, err = base64.StdEncoding.DecodeString(auth.Ext); err == nil {
				err = json.Unmarshal(raw, &ext)
			}
		}
		if err != nil || !strings.Contains(string(ext.Certificate), "aaaa") {
			bad.Add(1)
			t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"storageType": "s3", "artifacts": [], "status": {"taskId": "x"}}`))
	}))
	t.Cleanup(server.Close)
	creds := queue.Credentials{ClientID: "project/x/a@b:c", AccessToken: "the-token", Certificate: mask.Secret(certificate)}
	c := &queue.Client{RootURL: server.URL, Limits: hasty, Credentials: func() queue.Credentials { return creds }}
	c.Limits.Elapsed = time.Nanosecond
	alphabet := []rune("ab/%%20+ &=?#;:@!$'()*,~\"<>\\^`{|}äß日😀\u00a0.-_")
	random := rand.New(rand.NewPCG(7, 7))
	for i := 0; i < 1000 && bad.Load() < 5; i++ {
		name := make([]rune, 1+random.IntN(30))
		for i := range name {
			name[i] = alphabet[random.IntN(len(alphabet))]
		}
		var err error
		switch i % 3 {
		case 0:
			_, err = c.CreateArtifact(t.Context(), queue.Claim{TaskID: "x", Credentials: creds}, string(name), json.RawMessage("{}"))
		case 1:
			_, err = c.Artifacts(t.Context(), string(name), 0)
		case 2:
			err = c.FinishArtifact(t.Context(), queue.Claim{TaskID: "x", Credentials: creds}, string(name), "id")
		}
		if err != nil {
			t.Errorf("%q: %v", string(name), err)
		}
	}
}

func TestNoCredentialsNoSignature(t *testing.T) {
	t.Parallel()
	for _, creds := range []func() queue.Credentials{nil, func() queue.Credentials { return queue.Credentials{AccessToken: "t"} }} {
		c := offline(func(r *http.Request) (*http.Response, error) {
			if got := r.Header.Get("Authorization"); got != "" {
				t.Errorf("signed with %q", got)
			}
			return respond(200, "{}"), nil
		})
		c.Credentials = creds
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestUnusableCredentialsAreNotShown(t *testing.T) {
	t.Parallel()
	for _, creds := range []queue.Credentials{
		{ClientID: "me", AccessToken: "very-secret", Certificate: "very-secret, no JSON"},
		{ClientID: "me\"\r\n", AccessToken: "very-secret"},
		{ClientID: "mé", AccessToken: "very-secret"},
	} {
		c := offline(func(*http.Request) (*http.Response, error) {
			t.Error("request was sent")
			return respond(200, "{}"), nil
		})
		c.Credentials = func() queue.Credentials { return creds }
		err := c.Ping(t.Context())
		if err == nil || strings.Contains(err.Error(), "very-secret") || errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("Ping: %v", err)
		}
	}
}

func TestT1_SkewedClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{
		0, 5 * time.Minute, -5 * time.Minute, time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour, 10 * time.Second,
	} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			const lease = 10 * time.Minute
			f, c := start(t, queuetest.FakeOptions{Skew: skew, Lease: lease})
			f.AddTask(nil)
			claim := claimOne(t, c)
			var err error
			for range 2 {
				if left := time.Until(claim.Expires); left < lease-2*time.Second || left > lease+2*time.Second {
					t.Errorf("the lease ends in %s by this machine's clock, want %s", left, lease)
				}
				if claim, err = c.Reclaim(t.Context(), claim); err != nil {
					t.Fatal(err)
				}
			}
			want := skew
			if skew.Abs() < 30*time.Second {
				want = 0
			}
			if got := c.ClockOffset(); (got - want).Abs() > 2*time.Second {
				t.Errorf("ClockOffset = %s, want %s", got, want)
			}
			noViolations(t, f)
		})
	}
}

// A queue that checks time stamps refuses the first request, and the next is
// signed with its time.
func TestT1_SignsWithTheQueuesTime(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{26 * time.Hour, -26 * time.Hour, 45 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var n int
			c := offline(func(r *http.Request) (*http.Response, error) {
				n++
				now := time.Now().Add(skew)
				resp := respond(200, "{}")
				if auth, err := verify(r, "token", now); err != nil || auth.Ext == "" || now.Sub(auth.Timestamp).Abs() > 40*time.Second {
					resp = respond(401, `{"code": "AuthenticationFailed", "message": "stale timestamp"}`)
				}
				resp.Header.Set("Date", now.UTC().Format(http.TimeFormat))
				return resp, nil
			})
			c.Credentials = func() queue.Credentials {
				return queue.Credentials{ClientID: "me", AccessToken: "token", Certificate: `{"version": 1}`}
			}
			for range 3 {
				if err := c.Ping(t.Context()); err != nil {
					t.Fatalf("skew %s: %v", skew, err)
				}
			}
			if n != 4 {
				t.Errorf("skew %s: %d requests, want one more than calls", skew, n)
			}
		})
	}
}

func TestT1_RefusedCredentialsAreNotTriedForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n int
		c := offline(func(*http.Request) (*http.Response, error) {
			n++
			resp := respond(401, `{"code": "AuthenticationFailed", "message": "no"}`)
			resp.Header.Set("Date", time.Now().Add(time.Duration(n)*time.Hour).UTC().Format(http.TimeFormat))
			return resp, nil
		})
		if err := c.Ping(t.Context()); !errors.Is(err, queue.ErrUnauthorized) || n != 2 {
			t.Errorf("Ping: %v after %d requests", err, n)
		}
	})
}

func TestT1_WarnsOncePerHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logged
		c := offline(func(*http.Request) (*http.Response, error) {
			resp := respond(200, "{}")
			resp.Header.Set("Date", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
			return resp, nil
		})
		c.Log = log.logger()
		for range 150 { // minutes
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if n := strings.Count(log.String(), "clock differs"); n != 3 {
			t.Errorf("%d warnings in 2.5 hours, want 3:\n%s", n, log.String())
		}
	})
}

// An answer from a cache has the time at which it was stored.
func TestT1_CachedAnswersTellNoTime(t *testing.T) {
	t.Parallel()
	c := offline(func(*http.Request) (*http.Response, error) {
		resp := respond(200, "{}", "Age", "7200")
		resp.Header.Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
		return resp, nil
	})
	if err := c.Ping(t.Context()); err != nil || c.ClockOffset() != 0 {
		t.Errorf("ClockOffset = %s, %v", c.ClockOffset(), err)
	}
}

// A call that began with credentials which a reclaim has replaced meanwhile
// signs its next attempt with the new ones.
func TestT4_RetriesSignWithTheNewestCredentials(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	f, c := start(t, queuetest.FakeOptions{CredentialsTTL: ttl})
	f.AddTask(nil)
	old := claimOne(t, c)
	fresh, err := c.Reclaim(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateArtifact(t.Context(), old, "a", s3Request()); err != nil {
		t.Fatal(err)
	}
	calls := f.Calls()
	if got := calls[len(calls)-1].ClientID; got != fresh.Credentials.ClientID {
		t.Errorf("signed as %s, want %s", got, fresh.Credentials.ClientID)
	}
	strange := old
	strange.Credentials = queue.Credentials{ClientID: "someone", AccessToken: "else"}
	if _, err := c.CreateArtifact(t.Context(), strange, "a", s3Request()); err != nil {
		t.Fatal(err)
	}
	calls = f.Calls()
	if got := calls[len(calls)-1].ClientID; got != "someone" {
		t.Errorf("credentials that no reclaim replaced: signed as %s", got)
	}
}
