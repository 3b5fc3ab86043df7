package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serveCounted counts the connections that a service gets.
func serveCounted(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var made atomic.Int32
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	t.Cleanup(server.Close)
	return server, &made
}

func ask(t *testing.T, s *Services, method, url string) (*http.Response, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, string(text), err
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	server, made := serveCounted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, strings.Repeat(r.URL.Path, 10_000))
		w.Header().Set("X-Sum", "1")
	})
	for _, scheme := range []string{"http", "https"} {
		if scheme == "https" {
			server, made = serveCounted(t, server.Config.Handler.ServeHTTP)
			server.StartTLS()
		} else {
			server.Start()
		}
		s := NewServices(server.URL)
		t.Cleanup(s.CloseIdleConnections)
		if scheme == "https" {
			s.transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		}
		for n := range 20 {
			method := []string{http.MethodGet, http.MethodHead}[n%2]
			answer, text, err := ask(t, s, method, server.URL+"/a")
			if err != nil || answer.StatusCode != 200 || method == http.MethodGet && (len(text) != 20_000 || answer.Trailer.Get("X-Sum") != "1") {
				t.Fatalf("%s: %d bytes, %v", method, len(text), err)
			}
		}
		if n := made.Load(); n != 1 {
			t.Errorf("%s: 20 requests took %d connections", scheme, n)
		}
	}
}

// TestConnectionsThatTheServiceClosed are replaced without anybody noticing.
func TestConnectionsThatTheServiceClosed(t *testing.T) {
	t.Parallel()
	server, made := serveCounted(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a") })
	server.Start()
	s := NewServices(server.URL)
	t.Cleanup(s.CloseIdleConnections)
	for n := range int32(3) {
		if _, text, err := ask(t, s, http.MethodGet, server.URL); err != nil || text != "a" || made.Load() != n+1 {
			t.Errorf("got %q, %v, over %d connections", text, err, made.Load())
		}
		server.CloseClientConnections()
	}
}

// TestUnusableAnswers end the request and are not mixed up with the next.
func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"too long a head":  "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", mostHead) + "\r\n\r\n",
		"no answer":        "220 smtp.example.com\r\n",
		"cut":              "HTTP/1.1 200 OK\r\nContent-Le",
		"cut body":         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"interim only":     strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", mostInterim+1),
		"another protocol": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := startRaw(t, answer)
			s := NewServices(service.url)
			t.Cleanup(s.CloseIdleConnections)
			if answer, text, err := ask(t, s, http.MethodGet, service.url); err == nil {
				t.Errorf("answered %v %q", answer, text)
			}
			if len(s.idle) != 0 {
				t.Error("the connection is kept")
			}
		})
	}
	// One answer too many: the first counts, and the connection is not used again.
	service := startRaw(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
	s := NewServices(service.url)
	t.Cleanup(s.CloseIdleConnections)
	for range 2 {
		if _, text, err := ask(t, s, http.MethodGet, service.url); err != nil || text != "a" {
			t.Errorf("got %q, %v", text, err)
		}
	}
	// An interim answer before the real one is skipped.
	service = startRaw(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
	if answer, text, err := ask(t, s, http.MethodGet, service.url); err != nil || text != "a" || answer.StatusCode != 200 {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestRequestsThatAreGivenUp end at once, whatever the service does.
func TestRequestsThatAreGivenUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server, _ := serveCounted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			fmt.Fprint(w, "begin")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	server.Start()
	defer close(release)
	s := NewServices(server.URL)
	t.Cleanup(s.CloseIdleConnections)
	for _, path := range []string{"/head", "/body"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		answer, err := s.RoundTrip(request)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			answer.Body.Close()
		}
		timeout := net.Error(nil)
		if took := time.Since(begun); !errors.As(err, &timeout) || !timeout.Timeout() || took > 5*time.Second {
			t.Errorf("%s: %v after %v", path, err, took)
		}
	}
	if len(s.idle) != 0 {
		t.Error("a connection is kept that is not at its end")
	}
}

// TestWordsAfterTheAnswer are no answer to the next request: servers say
// 408 to a connection that was idle for too long, and close it.
func TestWordsAfterTheAnswer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{}, 10)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
				<-closed // the answer was read to its end
				fmt.Fprint(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				closed <- struct{}{}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	url := "http://" + listener.Addr().String()
	s := NewServices(url)
	t.Cleanup(s.CloseIdleConnections)
	for range 3 {
		if answer, text, err := ask(t, s, http.MethodGet, url); err != nil || text != "a" {
			t.Fatalf("got %v, %q, %v", answer, text, err)
		}
		closed <- struct{}{}
		<-closed
	}
}
