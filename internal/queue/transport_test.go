package queue_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

func TestQ12_OnlyIPv6(t *testing.T) {
	t.Parallel()
	f, err := queuetest.NewFake(queuetest.FakeOptions{Listen: "[::1]:0"})
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	t.Cleanup(f.Close)
	c := &queue.Client{RootURL: f.URL, Credentials: func() queue.Credentials { return queue.Credentials{ClientID: "me", AccessToken: "t"} }}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRecentTasksElsewhere: only the embedded queue lists its latest tasks.
func TestRecentTasksElsewhere(t *testing.T) {
	t.Parallel()
	f := queuetest.StartFake(t, queuetest.FakeOptions{})
	c := &queue.Client{RootURL: f.URL, Credentials: func() queue.Credentials { return queue.Credentials{ClientID: "me", AccessToken: "t"} }}
	if tasks, err := c.RecentTasks(t.Context()); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("got %v, %v; want %v", tasks, err, queue.ErrNotFound)
	}
}

func TestQ12_TLSAndProtocols(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		most  uint16
		http2 bool
		want  int // major version; 0: refused
	}{
		{"http/1.1", tls.VersionTLS13, false, 1},
		{"http/2", tls.VersionTLS13, true, 2},
		{"TLS 1.2", tls.VersionTLS12, false, 1},
		{"TLS 1.1", tls.VersionTLS11, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			major := 0
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				major = r.ProtoMajor
				_, _ = w.Write([]byte("{}"))
			}))
			server.EnableHTTP2 = row.http2
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: row.most}
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			server.StartTLS()
			t.Cleanup(server.Close)
			sender := queue.NewHTTPClient()
			trusting := sender.Transport.(*http.Transport)
			trusting.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			c := &queue.Client{RootURL: server.URL, HTTP: sender, Limits: hasty}
			c.Limits.Elapsed = time.Nanosecond
			err := c.Ping(t.Context())
			if (err == nil) != (row.want > 0) || major != row.want {
				t.Errorf("Ping: %v over HTTP/%d, want HTTP/%d", err, major, row.want)
			}
		})
	}
}

// I7: retries leave nothing behind.
func TestI7_FailuresLeaveNoGoroutines(t *testing.T) {
	f, c := start(t, queuetest.FakeOptions{})
	c.Limits = hasty
	c.Limits.Elapsed = 20 * time.Millisecond
	sender := queue.NewHTTPClient()
	c.HTTP = sender
	before := runtime.NumGoroutine()
	for _, kind := range []queuetest.FaultKind{queuetest.FaultReset, queuetest.FaultTruncate, queuetest.FaultGarbage, queuetest.FaultStatus, queuetest.FaultOversize} {
		f.ClearFaults()
		f.Inject(queuetest.Fault{Kind: kind})
		for range 3 {
			_ = c.Ping(t.Context()) // fails, or not
		}
	}
	f.Close()
	sender.CloseIdleConnections()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before+2 {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}
