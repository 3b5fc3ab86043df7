package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestStatuses(t *testing.T) {
	t.Parallel()
	for code, again := range map[int]bool{
		202: true, 204: false, 206: false, 300: false, 304: false, 305: false,
		400: false, 401: false, 403: false, 404: false, 405: false, 406: false, 408: true, 410: false,
		416: false, 418: false, 425: true, 429: true, 451: false,
		500: true, 501: true, 502: true, 503: true, 504: true, 507: true, 599: true,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			s := serve(t, status(code), file{data: []byte("text")}.whole(-1))
			got := download(t, newClient(t, quick), Request{Locate: at(s.URL + "/path?signature=secret")})
			if again {
				got.wants(t, []byte("text"))
			} else if failed := got.fails(t); failed.Infrastructure() || failed.Status != code || len(s.seen()) != 1 {
				t.Errorf("after %d requests: %v (status %d, infrastructure: %t)", len(s.seen()), failed, failed.Status, failed.Infrastructure())
			}

			always := serve(t, status(code))
			failed := download(t, newClient(t, quick), Request{Locate: at(always.URL + "/path?signature=secret")}).fails(t)
			requests := 1
			if again {
				requests = quick.Attempts
			}
			if failed.Infrastructure() != again || failed.Status != code || len(always.seen()) != requests {
				t.Errorf("always: after %d requests: %v (status %d, infrastructure: %t)", len(always.seen()), failed, failed.Status, failed.Infrastructure())
			}
			if text := failed.Error(); failed.URL != always.URL+"/path" || strings.Contains(text, "secret") || !strings.Contains(text, fmt.Sprint(code)) {
				t.Errorf("message %q for URL %q", text, failed.URL)
			}
		})
	}
}

// inSteps is a transport that makes answers without sockets, so that time can
// be made to pass.
type inSteps func(n int, r *http.Request) (*http.Response, error)

func (f inSteps) client(limits Limits) (*Client, *atomic.Int32) {
	n := &atomic.Int32{}
	return &Client{Limits: limits, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return f(int(n.Add(1)), r)
	})}}, n
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func made(code int, body io.Reader, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(body), ContentLength: -1, ProtoMajor: 1}
}

// The waits of production, by the clock of a bubble.
func TestWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   inSteps
		min, max time.Duration
		err      string
		attempts int
	}{
		"503 for ever": {
			func(int, *http.Request) (*http.Response, error) { return made(503, http.NoBody, nil), nil },
			2 * time.Minute, 10 * time.Minute, "given up after 16 attempts", 16,
		},
		"503 that asks for a minute": {
			func(n int, _ *http.Request) (*http.Response, error) {
				if n > 1 {
					return made(200, strings.NewReader("text"), nil), nil
				}
				return made(503, http.NoBody, http.Header{"Retry-After": {"60"}}), nil
			}, time.Minute, time.Minute, "", 2,
		},
		"503 that asks for a day": {
			func(n int, _ *http.Request) (*http.Response, error) {
				if n > 1 {
					return made(200, strings.NewReader("text"), nil), nil
				}
				return made(503, http.NoBody, http.Header{"Retry-After": {"86400"}}), nil
			}, 5 * time.Minute, 5 * time.Minute, "", 2,
		},
		"no answer": {
			func(_ int, r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}, 10 * time.Minute, 18 * time.Minute, "no answer within 1m0s", 0,
		},
		"no such host": {
			func(int, *http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "example.invalid", IsNotFound: true}}
			}, time.Second, 10 * time.Second, "no such host", 4,
		},
		"nothing listens": {
			func(int, *http.Request) (*http.Response, error) { return nil, refusedConnection() },
			30 * time.Second, 90 * time.Second, "given up after 8 attempts", 8,
		},
		"nothing listens any more": {
			func(n int, _ *http.Request) (*http.Response, error) {
				if n > 1 {
					return nil, refusedConnection()
				}
				return made(200, io.MultiReader(strings.NewReader("te"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil), nil
			}, 2 * time.Minute, 10 * time.Minute, "given up after 16 attempts", 16,
		},
		"busy, and then nothing listens": {
			func(n int, _ *http.Request) (*http.Response, error) {
				if n > 7 {
					return nil, refusedConnection()
				}
				return made(503, http.NoBody, nil), nil
			}, 2 * time.Minute, 10 * time.Minute, "given up after 16 attempts", 16,
		},
		"a body that hangs": {
			func(_ int, r *http.Request) (*http.Response, error) {
				return made(200, io.MultiReader(strings.NewReader("te"), hanging{r.Context()}), nil), nil
			}, 15 * time.Minute, 17 * time.Minute, "no byte within 1m0s", 0,
		},
		"a body by the drop": {
			func(_ int, r *http.Request) (*http.Response, error) {
				return made(200, dripping{r.Context(), 50 * time.Second}, nil), nil
			}, 15 * time.Minute, 22 * time.Minute, "less than 65536 bytes within 5m0s", 0,
		},
		"a body that is slow": {
			func(_ int, r *http.Request) (*http.Response, error) {
				return made(200, io.LimitReader(dripping{r.Context(), time.Second}, 250), nil), nil
			}, 250 * time.Second, 251 * time.Second, "", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, n := c.answer.client(Limits{})
				began := time.Now()
				b, err := client.Open(t.Context(), Request{Locate: at("https://example.com/file")})
				if err == nil {
					_, err = io.Copy(io.Discard, b)
					b.Close()
				}
				took := time.Since(began)
				if took < c.min || took > c.max || c.attempts > 0 && int(n.Load()) != c.attempts {
					t.Errorf("took %s and %d attempts", took, n.Load())
				}
				if c.err == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				failed, ok := errors.AsType[*Error](err)
				if !ok || !failed.Infrastructure() || !strings.Contains(err.Error(), c.err) {
					t.Errorf("ended with: %v", err)
				}
			})
		})
	}
}

// A port where nothing listens is told from a connection that broke.
func TestClosedPort(t *testing.T) {
	t.Parallel()
	c := newClient(t, Limits{FirstPause: time.Millisecond, MaxPause: 2 * time.Millisecond})
	failed := download(t, c, Request{Locate: at("http://127.0.0.1:1/file")}).fails(t)
	if !failed.Infrastructure() || !strings.Contains(failed.Error(), "given up after 8 attempts") {
		t.Errorf("ended with: %v", failed)
	}
}

func refusedConnection() error {
	return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", connectionRefused)}
}

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

// dripping sends one byte after each pause.
type dripping struct {
	ctx   context.Context
	pause time.Duration
}

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(d.pause):
		p[0] = 'x'
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

// Whoever reads slowly is not taken for a server that stalls, and does not use
// up the time for attempts.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const each = 3 << 20 // what a connection brings before it breaks
	data := content(1, 3*each)
	synctest.Test(t, func(t *testing.T) {
		client, n := inSteps(func(n int, _ *http.Request) (*http.Response, error) {
			if n*each >= len(data) {
				return made(200, bytes.NewReader(data), nil), nil
			}
			return made(200, io.MultiReader(bytes.NewReader(data[:n*each]), failing{}), nil), nil
		}).client(Limits{})
		b, err := client.Open(t.Context(), Request{Locate: at("https://example.com/file")})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for p := make([]byte, 1<<20); err == nil; _, err = io.ReadFull(b, p) {
			time.Sleep(time.Hour)
		}
		if err != io.EOF || b.SHA256() != sum(data) || n.Load() != 3 {
			t.Errorf("ended with %v after %d requests", err, n.Load())
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

func TestCanceled(t *testing.T) {
	t.Parallel()
	aborted := errors.New("the task is aborted")
	for name, answer := range map[string]step{
		"while answering": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"while pausing":   status(503, "Retry-After", "300"),
		"while sending": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("text"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{}, 100)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				answer(w, r)
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-arrived
				cancel(aborted)
			}()
			limits := quick
			limits.RetryAfter = time.Hour
			b, err := newClient(t, limits).Open(ctx, Request{Locate: at(s.URL)})
			if err == nil {
				_, err = io.Copy(io.Discard, b)
				b.Close()
			}
			if err != aborted {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	data := content(1, size)
	target := serve(t, file{data: data, etag: `"a"`}.whole(size/2), file{data: data, etag: `"a"`}.rest(-1))
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
	}))
	t.Cleanup(loop.Close)
	chain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) > 10 {
			_, _ = w.Write([]byte("text"))
			return
		}
		w.Header().Set("Location", strings.TrimPrefix(r.URL.Path, "/")+"x")
		w.WriteHeader([]int{301, 302, 303, 307, 308}[len(r.URL.Path)%5])
	}))
	t.Cleanup(chain.Close)

	t.Run("followed and resumed", func(t *testing.T) {
		t.Parallel()
		s := serve(t, status(http.StatusSeeOther, "Location", target.URL+"/data?signature=1"))
		got := download(t, newClient(t, quick), Request{Locate: at(s.URL)})
		got.wants(t, data)
		if got.attempts != 2 || len(s.seen()) != 2 {
			t.Errorf("%d attempts, %d redirects", got.attempts, len(s.seen()))
		}
	})
	t.Run("ten", func(t *testing.T) {
		t.Parallel()
		download(t, newClient(t, quick), Request{Locate: at(chain.URL)}).wants(t, []byte("text"))
	})
	for name, c := range map[string]struct {
		location string
		err      string
		again    bool
	}{
		"loop":              {loop.URL, "more than 10 redirects", false},
		"file":              {"file:///etc/passwd", `"file" address`, false},
		"ftp":               {"ftp://example.com/x", `"ftp" address`, false},
		"data":              {"data:text/plain,x", `"data" address`, false},
		"script":            {"javascript:alert(1)", `"javascript" address`, false},
		"no host":           {"http:///etc/passwd", "no host", false},
		"only a port":       {"http://:80/", "no host", false},
		"garbage":           {"http://[::1/secret", "not valid", false},
		"spaces":            {"http://exa mple.com/secret", "not valid", false},
		"nowhere":           {"", "does not say where", true},
		"metadata":          {"http://169.254.169.254/latest/meta-data/", "link-local", false},
		"metadata, IPv6":    {"http://[fd00:ec2::254]/latest/", "link-local", false},
		"metadata, mapped":  {"http://[::ffff:169.254.169.254]/", "link-local", false},
		"metadata, by zone": {"http://[fe80::1%25eth0]/", "link-local", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, status(http.StatusFound, "Location", c.location))
			failed := download(t, newClient(t, quick), Request{Locate: at(s.URL)}).fails(t)
			if failed.Infrastructure() != c.again || !strings.Contains(failed.Error(), c.err) || strings.Contains(failed.Error(), "secret") {
				t.Errorf("ended with %v (infrastructure: %t)", failed, failed.Infrastructure())
			}
		})
	}
	t.Run("names where it was led to", func(t *testing.T) {
		t.Parallel()
		gone := serve(t, status(http.StatusNotFound))
		s := serve(t, status(http.StatusFound, "Location", gone.URL+"/there?signature=secret"))
		text := download(t, newClient(t, quick), Request{Locate: at(s.URL + "/here")}).fails(t).Error()
		if !strings.Contains(text, s.URL+"/here") || !strings.Contains(text, gone.URL+"/there") || strings.Contains(text, "secret") {
			t.Error(text)
		}
	})
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "/etc/passwd", "file:///etc/passwd", "ftp://example.com/", "http://", "http://us er@x/", "http://169.254.169.254/", "http://[fe80::1]/", "://", "http://pass:word@[::1/",
	} {
		failed := download(t, newClient(t, quick), Request{Locate: at(address)}).fails(t)
		if failed.Infrastructure() || strings.Contains(failed.Error(), "word") {
			t.Errorf("%q: %v (infrastructure: %t)", address, failed, failed.Infrastructure())
		}
	}
}

// A name may lead to a link-local address, too.
func TestMetadataByName(t *testing.T) {
	t.Parallel()
	err := mayConnect(t.Context(), "tcp4", "169.254.169.254:80", nil)
	failed := unsent(&net.OpError{Op: "dial", Net: "tcp", Err: err})
	if failed.passing || failed.broken || mayConnect(t.Context(), "tcp4", "127.0.0.1:80", nil) != nil {
		t.Errorf("connecting there is refused by: %v", failed)
	}
}

// A user and password are sent to the host that they are for, and nowhere else.
func TestCredentials(t *testing.T) {
	t.Parallel()
	other := serve(t, file{data: []byte("text")}.whole(-1))
	s := serve(t,
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/same", http.StatusFound) },
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(other.URL, "http://", "http://some:one@", 1), http.StatusFound)
		},
	)
	where, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	where.User = url.UserPassword("me", "secret")
	var log bytes.Buffer
	client := newClient(t, quick)
	client.Log = slog.New(slog.NewTextHandler(&log, nil))
	download(t, client, Request{Locate: at(where.String())}).wants(t, []byte("text"))
	for i, want := range []bool{true, true} {
		user, password, ok := s.seen()[i].BasicAuth()
		if ok != want || user != "me" || password != "secret" {
			t.Errorf("request %d has user %q, password %q", i, user, password)
		}
	}
	if auth := other.seen()[0].Header.Get("Authorization"); auth != "" {
		t.Errorf("the other host is sent %q", auth)
	}
	s.Close()
	failed := download(t, client, Request{Locate: at(where.String())}).fails(t)
	if text := failed.Error() + log.String(); strings.Contains(text, "secret") || log.Len() == 0 || !failed.Infrastructure() {
		t.Errorf("after the server's end: %s", text)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("text")) }))
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	plain := serve(t, file{data: []byte("text")}.whole(-1))
	refused := download(t, newClient(t, quick), Request{Locate: at(secure.URL)}).fails(t)
	if refused.Infrastructure() || !strings.Contains(refused.Error(), "certificate") {
		t.Errorf("unknown authority: %v (infrastructure: %t)", refused, refused.Infrastructure())
	}
	trusting := &Client{HTTP: secure.Client(), Limits: quick}
	download(t, trusting, Request{Locate: at(secure.URL)}).wants(t, []byte("text"))
	noTLS := download(t, newClient(t, quick), Request{Locate: at(strings.Replace(plain.URL, "http:", "https:", 1))}).fails(t)
	if noTLS.Infrastructure() {
		t.Errorf("no TLS: %v", noTLS)
	}
	down := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, secure.URL, http.StatusFound) })
	download(t, trusting, Request{Locate: at(down.URL)}).wants(t, []byte("text"))
}

// An answer longer than it says ends where it says, and what follows is not
// taken for the next answer.
func TestLongerThanSaid(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntextHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
	})
	client := newClient(t, quick)
	for range 3 {
		download(t, client, Request{Locate: at(s.URL)}).wants(t, []byte("text"))
	}
}

func TestPerHost(t *testing.T) {
	t.Parallel()
	const limit = 3
	var inside, most, served atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		now := inside.Add(1)
		defer inside.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		served.Add(1)
		_, _ = w.Write(content(1, 100_000))
	})
	client := newClient(t, quick)
	client.PerHost = limit
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { download(t, client, Request{Locate: at(s.URL)}).wants(t, content(1, 100_000)) })
	}
	all.Wait()
	if most.Load() > limit || served.Load() != 50 {
		t.Errorf("%d at once, %d served", most.Load(), served.Load())
	}
	if n := len(client.hosts.doors); n != 0 {
		t.Errorf("%d hosts are still known", n)
	}
}

// Waiting for a host ends with the context; other hosts have no part in it.
func TestPerHostWait(t *testing.T) {
	t.Parallel()
	long := content(1, 8<<20) // more than is received ahead
	s, other := serve(t, file{data: long}.whole(-1)), serve(t, file{data: []byte("other")}.whole(-1))
	client := newClient(t, quick)
	client.PerHost = 1
	held, err := client.Open(t.Context(), Request{Locate: at(s.URL)})
	if err != nil {
		t.Fatal(err)
	}
	aborted := errors.New("the task is aborted")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, aborted)
	defer cancel()
	if _, err := client.Open(ctx, Request{Locate: at(s.URL)}); err != aborted {
		t.Errorf("waiting ended with %v", err)
	}
	download(t, client, Request{Locate: at(other.URL)}).wants(t, []byte("other"))
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	download(t, client, Request{Locate: at(s.URL)}).wants(t, long)
}

func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := inSteps(func(_ int, r *http.Request) (*http.Response, error) {
			resp := made(200, io.LimitReader(dripping{r.Context(), time.Second}, 12), nil)
			resp.ContentLength = 12
			return resp, nil
		}).client(Limits{})
		var told []string
		b, err := client.Open(t.Context(), Request{
			Locate:   at("https://example.com/file"),
			Progress: func(done, total int64) { told = append(told, fmt.Sprintf("%d/%d", done, total)) },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := io.Copy(io.Discard, b); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(told, " "); got != "5/12 10/12 12/12" {
			t.Errorf("told %s", got)
		}
	})
}
