package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secretToken       = "the-access-token-that-nobody-may-see"
	secretCertificate = `{"version":1,"scopes":["a","b"],"start":1,"expiry":2,"seed":"s","signature":"the-signature-that-nobody-may-see"}`
)

// start serves a proxy in front of a deployment and returns its URL.
func start(t testing.TB, rootURL string, change func(*Options)) string {
	t.Helper()
	services, others := NewServices(rootURL), NewTransport(true)
	t.Cleanup(services.CloseIdleConnections)
	t.Cleanup(others.CloseIdleConnections)
	options := Options{
		RootURL: rootURL, Scopes: []string{"a", "queue:create-artifact:t/0"}, Services: services, Others: others,
		Credentials: func() (Credentials, error) {
			return Credentials{ClientID: "task-client/t/0", AccessToken: secretToken, Certificate: secretCertificate}, nil
		},
		Version: "1.2.3", Revision: "abc",
	}
	if change != nil {
		change(&options)
	}
	h, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// upstream serves a deployment.
func upstream(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// call makes a request and returns the whole answer.
func call(t testing.TB, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// raw is the other side of a conversation whose every byte counts: a listener
// that gives one answer to each request and keeps what it got.
type raw struct {
	url string
	got chan string
}

func startRaw(t *testing.T, answer string) *raw {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{url: "http://" + listener.Addr().String(), got: make(chan string, 10)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				var got bytes.Buffer
				request, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &got)))
				if err != nil {
					return
				}
				if _, err := io.Copy(io.Discard, request.Body); err == nil {
					r.got <- got.String()
					_, _ = io.WriteString(c, answer)
				}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	return r
}

// send writes a request as it is and returns the answer as it is.
func send(t *testing.T, to, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(to, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", answer, err)
	}
	return string(answer)
}

// lines is a head without what the proxy itself decides: the host, the
// signature and the order of headers that have different names.
func lines(t *testing.T, message string) (first string, header []string, body string) {
	t.Helper()
	head, body, ok := strings.Cut(message, "\r\n\r\n")
	if !ok {
		t.Fatalf("no whole head in %q", message)
	}
	all := strings.Split(head, "\r\n")
	for _, line := range all[1:] {
		name, _, _ := strings.Cut(line, ":")
		if name != "Host" && name != "Authorization" {
			header = append(header, line)
		}
	}
	return all[0], header, body
}

func TestRequestsArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	const none = "Connection: close\r\n"
	tests := []struct{ name, line, head, body, wantLine, wantHead string }{
		{"path", "GET /queue/v1//a/%2F..%252f/../b HTTP/1.1", none, "", "GET /api/queue/v1//a/%2F..%252f/../b HTTP/1.1", ""},
		{"odd characters", "GET /queue/v1/a|b^\"<>`{}'()*;=:@!$&,[] HTTP/1.1", none, "", "GET /api/queue/v1/a|b^\"<>`{}'()*;=:@!$&,[] HTTP/1.1", ""},
		{"bytes beyond ASCII", "GET /queue/v1/\xc3\xa4\xff HTTP/1.1", none, "", "GET /api/queue/v1/\xc3\xa4\xff HTTP/1.1", ""},
		{"small letters in escapes", "GET /queue/v1/%c3%A4%2f HTTP/1.1", none, "", "GET /api/queue/v1/%c3%A4%2f HTTP/1.1", ""},
		{"query", "GET /api/queue/v1/a?b;c&&d=%zz&e=+%20&b?=/ HTTP/1.1", none, "", "GET /api/queue/v1/a?b;c&&d=%zz&e=+%20&b?=/ HTTP/1.1", ""},
		{"empty query", "GET /queue/v1/a? HTTP/1.1", none, "", "GET /api/queue/v1/a? HTTP/1.1", ""},
		{
			"repeated headers", "GET /queue/v1/a HTTP/1.1", none + "X-A: 1\r\nX-B: \r\nX-A:  2, 3 \r\nX-A: 1\r\nCookie: a=b\r\nCookie: c=d\r\nUser-Agent: x\r\nAccept-Encoding: br\r\n", "",
			"GET /api/queue/v1/a HTTP/1.1", "Accept-Encoding: br\r\nCookie: a=b\r\nCookie: c=d\r\nUser-Agent: x\r\nX-A: 1\r\nX-A: 2, 3\r\nX-A: 1\r\nX-B: ",
		},
		{
			"body with a length", "PUT /queue/v1/a HTTP/1.1", none + "Content-Length: 5\r\nContent-Type: text/x\r\n", "a\x00\xff\r\n",
			"PUT /api/queue/v1/a HTTP/1.1", "Content-Length: 5\r\nContent-Type: text/x",
		},
		{
			"body in chunks, with a trailer", "POST /queue/v1/a HTTP/1.1", none + "Transfer-Encoding: chunked\r\nContent-Type: text/x\r\nTrailer: X-Sum\r\n",
			"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
			"POST /api/queue/v1/a HTTP/1.1", "Content-Type: text/x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked",
		},
		{"empty body", "POST /queue/v1/a HTTP/1.1", none + "Content-Length: 0\r\n", "", "POST /api/queue/v1/a HTTP/1.1", "Content-Length: 0"},
		{
			"body of no type", "POST /queue/v1/a HTTP/1.1", none + "Content-Length: 2\r\n", "{}",
			"POST /api/queue/v1/a HTTP/1.1", "Content-Length: 2\r\nContent-Type: application/json",
		},
		{
			"headers for one hop", "GET /queue/v1/a HTTP/1.1",
			"Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Authorization: x\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Other: 1\r\n", "",
			"GET /api/queue/v1/a HTTP/1.1", "Http2-Settings: x\r\nX-Other: 1",
		},
		{
			"an upgrade", "GET /queue/v1/a HTTP/1.1", "Connection: close, Upgrade\r\nUpgrade: websocket\r\n", "",
			"GET /api/queue/v1/a HTTP/1.1", "",
		},
		{
			"headers that name another host", "GET /queue/v1/a HTTP/1.1",
			none + "X-Forwarded-Host: evil\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: gopher\r\nForwarded: host=evil\r\nAuthorization: Bearer mine\r\n", "",
			"GET /api/queue/v1/a HTTP/1.1", "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			service := startRaw(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			answer := send(t, start(t, service.url, nil), test.line+"\r\nHost: proxy\r\n"+test.head+"\r\n"+test.body)
			if !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
				t.Fatalf("answered %q", answer)
			}
			got := <-service.got
			first, header, body := lines(t, got)
			if diff := cmp.Diff(test.wantHead, strings.Join(sorted(header), "\r\n")); diff != "" || first != test.wantLine || body != test.body {
				t.Errorf("sent %q and body %q (-want +got header):\n%s", first, body, diff)
			}
			if !strings.Contains(got, "\r\nHost: "+strings.TrimPrefix(service.url, "http://")+"\r\n") ||
				strings.Count(got, "\r\nAuthorization: Hawk id=\"task-client/t/0\"") != 1 || strings.Contains(got, "hash=") {
				t.Errorf("host and signature are wrong in %q", got)
			}
		})
	}
}

// sorted orders headers by name and keeps the order of those of one name.
func sorted(header []string) []string {
	name := func(line string) string { n, _, _ := strings.Cut(line, ":"); return n }
	out := append([]string{}, header...)
	for i := range out {
		for j := i; j > 0 && name(out[j]) < name(out[j-1]); j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}

func TestAnswersArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, answer, wantLine, wantHead, wantBody string }{
		{"redirect", "HTTP/1.1 303 See Other\r\nLocation: https://elsewhere/a%2fb\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 303 See Other", "Content-Length: 2\r\nLocation: https://elsewhere/a%2fb", "{}"},
		{
			"refusal", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nContent-Type: application/json\r\nX-A: 1\r\nX-A: 2\r\nDate: then\r\n\r\n{}",
			"HTTP/1.1 403 Forbidden", "Content-Length: 2\r\nContent-Type: application/json\r\nDate: then\r\nX-A: 1\r\nX-A: 2", "{}",
		},
		{"no type is guessed", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "HTTP/1.1 200 OK", "Content-Length: 6", "<html>"},
		{"compressed", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", "HTTP/1.1 200 OK", "Content-Encoding: gzip\r\nContent-Length: 3", "\x1f\x8b\x08"},
		{
			"chunks and trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
			"HTTP/1.1 200 OK", "Trailer: X-Sum\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
		},
		{"headers for one hop", "HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK", "Content-Length: 0", ""},
		{"headers for browsers", "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK", "Content-Length: 0", ""},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			service := startRaw(t, test.answer)
			answer := send(t, start(t, service.url, nil), "GET /queue/v1/a HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
			first, header, body := lines(t, answer)
			var rest []string
			for _, line := range sorted(header) {
				if !strings.HasPrefix(line, "X-Taskcluster-") && line != "Connection: close" {
					rest = append(rest, line)
				}
			}
			if diff := cmp.Diff(test.wantHead, strings.Join(rest, "\r\n")); diff != "" || first != test.wantLine || body != test.wantBody {
				t.Errorf("answered %q and body %q (-want +got header):\n%s", first, body, diff)
			}
		})
	}
}

// TestX3TricksReachNobody sends what a table of targets cannot show.
func TestX3TricksReachNobody(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	service := upstream(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	url := start(t, service, func(o *Options) { o.Others = http.NewFileTransport(http.Dir(t.TempDir())) })
	for _, line := range []string{
		"GET http://evil.example.com/queue/v1/a", "GET https://evil.example.com/queue/v1/a", "GET //evil.example.com/queue/v1/a",
		"GET /%2e%2e/v1/a", "GET /..//v1/a", "GET /a@evil.example.com/v1", `GET /\evil.example.com/v1/a`, "GET /[fe80::1%25lo]/a",
		"CONNECT evil.example.com:443", "CONNECT /queue/v1/a", "TRACE /queue/v1/a", "GET /credentials", "PUT /credentials", "PUT /credentials/v1",
		"GET /127.0.0.1/a", "GET /2130706433/a", "GET /0x7f.1/a", "GET /a%00b.example.com/x", "GET /queue/v1/%zz",
	} {
		answer := send(t, url, line+" HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 4") {
			t.Errorf("%s is answered %.100q", line, answer)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the service was reached %d times", n)
	}
}

// TestX3NamesThatLeadInside looks at addresses after they were resolved.
func TestX3NamesThatLeadInside(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "169.254.169.254:443", "0.0.0.0:443", "[fe80::1]:443", "[::ffff:127.0.0.1]:443", "224.0.0.1:443"} {
		c, err := dialOutside(t.Context(), "tcp", address)
		if !errors.Is(err, errInside) {
			t.Errorf("%s is connected to: %v, %v", address, c, err)
		}
	}
}

func TestHostsByName(t *testing.T) {
	t.Parallel()
	var got atomic.Pointer[http.Request]
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Clone(context.Background()))
		fmt.Fprint(w, "hello")
	}))
	t.Cleanup(other.Close)
	url := start(t, "https://tc.example.com", func(o *Options) {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if address != "hawk.example.org:443" {
					return nil, fmt.Errorf("dialled %s", address)
				}
				return new(net.Dialer).DialContext(ctx, network, other.Listener.Addr().String())
			},
		}
		t.Cleanup(transport.CloseIdleConnections)
		o.Others = transport
	})
	response, text := call(t, http.MethodPost, url+"/hawk.example.org/a%2Fb?c", "body")
	r := got.Load()
	if response.StatusCode != 200 || text != "hello" || r == nil {
		t.Fatalf("answered %s %q", response.Status, text)
	}
	if r.Host != "hawk.example.org" || r.RequestURI != "/a%2Fb?c" || !strings.HasPrefix(r.Header.Get("Authorization"), "Hawk ") || r.Header.Get("Content-Type") != "" {
		t.Errorf("got %s %s %v", r.Host, r.RequestURI, r.Header)
	}
}

// TestX6OnlyWhatMayBeRepeatedIs counts how often a request is made.
func TestX6OnlyWhatMayBeRepeatedIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, body string
		status       int
		header       string
		want         int32
	}{
		{"GET", "", 500, "", attempts},
		{"HEAD", "", 502, "", attempts},
		{"OPTIONS", "", 503, "", attempts},
		{"GET", "", 504, "", attempts},
		{"GET", "", 429, "0", attempts},
		{"GET", "", 429, "", 1},
		{"GET", "", 501, "", 1},
		{"GET", "", 404, "", 1},
		{"GET", "", 503, "600", 1}, // the client is told to wait, and decides
		{"GET", "body", 503, "", 1},
		{"POST", "", 503, "", 1},
		{"POST", "body", 500, "", 1},
		{"PUT", "body", 503, "", 1},
		{"PUT", "", 503, "", 1},
		{"PATCH", "body", 503, "", 1},
		{"DELETE", "", 503, "", 1},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.method, test.status, test.header, test.body), func(t *testing.T) {
			t.Parallel()
			var made atomic.Int32
			service := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				made.Add(1)
				if test.header != "" {
					w.Header().Set("Retry-After", test.header)
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, "why")
			})
			response, text := call(t, test.method, start(t, service, nil)+"/queue/v1/a", test.body)
			want := "why"
			if test.method == "HEAD" {
				want = ""
			}
			if made.Load() != test.want || response.StatusCode != test.status || text != want || response.Header.Get("Retry-After") != test.header {
				t.Errorf("made %d times, answered %s %q", made.Load(), response.Status, text)
			}
		})
	}
}

// TestX6BrokenConnections cuts the connection once the request has arrived.
func TestX6BrokenConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, body string
		want         int32
	}{{"GET", "", attempts}, {"POST", "", 1}, {"POST", "body", 1}, {"PUT", "body", 1}, {"DELETE", "", 1}} {
		t.Run(test.method+test.body, func(t *testing.T) {
			t.Parallel()
			var made atomic.Int32
			service := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				made.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				panic(http.ErrAbortHandler)
			})
			response, text := call(t, test.method, start(t, service, nil)+"/queue/v1/a", test.body)
			if made.Load() != test.want || response.StatusCode != http.StatusBadGateway || !strings.Contains(text, "try again if the request may be made twice") {
				t.Errorf("made %d times, answered %s %q", made.Load(), response.Status, text)
			}
		})
	}
}

// TestWhatWasNotSentIsTriedAgain has a service that comes up late.
func TestWhatWasNotSentIsTriedAgain(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var dials atomic.Int32
	var body atomic.Value
	service := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body.Store(string(text))
	})
	url := start(t, "http://"+address, func(o *Options) {
		transport := &http.Transport{DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if dials.Add(1) == attempts {
				to = strings.TrimPrefix(service, "http://")
			}
			return new(net.Dialer).DialContext(ctx, network, to)
		}}
		t.Cleanup(transport.CloseIdleConnections)
		o.Services = transport
	})
	response, text := call(t, http.MethodPost, url+"/queue/v1/a", "all of it")
	if response.StatusCode != 200 || body.Load() != "all of it" || dials.Load() != attempts {
		t.Errorf("answered %s %q after %d dials; the service got %q", response.Status, text, dials.Load(), body.Load())
	}
}

// TestX7CredentialsOfTheMoment swaps them while a request is under way.
func TestX7CredentialsOfTheMoment(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	current, over := "first", false
	arrived, goOn := make(chan string, 2), make(chan struct{})
	service := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get("Authorization")
		if r.URL.Path == "/api/queue/v1/slow" {
			<-goOn
		}
		fmt.Fprint(w, "done")
	})
	url := start(t, service, func(o *Options) {
		o.Credentials = func() (Credentials, error) {
			mu.Lock()
			defer mu.Unlock()
			if over {
				return Credentials{}, ErrOver
			}
			return Credentials{ClientID: current, AccessToken: "x"}, nil
		}
	})
	slow := make(chan string, 1)
	go func() {
		_, text := call(t, http.MethodGet, url+"/queue/v1/slow", "")
		slow <- text
	}()
	if got := <-arrived; !strings.Contains(got, `id="first"`) {
		t.Errorf("signed %s", got)
	}
	mu.Lock()
	current = "second"
	mu.Unlock()
	response, _ := call(t, http.MethodGet, url+"/queue/v1/fast", "")
	if got := <-arrived; !strings.Contains(got, `id="second"`) || response.Header.Get("X-Taskcluster-Proxy-Perm-ClientId") != "second" {
		t.Errorf("signed %s, says %v", got, response.Header)
	}
	close(goOn)
	if text := <-slow; text != "done" {
		t.Errorf("the request under way ended with %q", text)
	}
	mu.Lock()
	over = true
	mu.Unlock()
	if response, text := call(t, http.MethodGet, url+"/queue/v1/fast", ""); response.StatusCode != http.StatusForbidden || !strings.Contains(text, "the task is over") {
		t.Errorf("after the end: %s %s", response.Status, text)
	}
}

// TestX8AnswersLeakNothing looks for the secrets in all that comes back.
func TestX8AnswersLeakNothing(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	elsewhere := upstream(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	service := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/queue/v1/redirect":
			http.Redirect(w, r, elsewhere, http.StatusFound)
		case "/api/queue/v1/broken":
			panic(http.ErrAbortHandler)
		}
	})
	log := &bytes.Buffer{}
	url := start(t, service, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	for _, path := range []string{"/queue/v1/redirect", "/queue/v1/broken", "/queue/v1/a", "/nothing", "/bewit"} {
		response, text := call(t, http.MethodGet, url+path, "")
		var all strings.Builder
		_ = response.Header.Write(&all)
		for _, secret := range []string{secretToken, "the-signature-that-nobody-may-see", "Authorization:"} {
			if strings.Contains(all.String()+text+log.String(), secret) {
				t.Errorf("%s gives away %s: %s %s", path, secret, &all, text)
			}
		}
	}
	if followed.Load() != 0 {
		t.Error("a redirect was followed")
	}
	printed := fmt.Sprintf("%v %+v %#v", Credentials{AccessToken: secretToken}, &Credentials{Certificate: secretToken}, Credentials{AccessToken: secretToken})
	if strings.Contains(printed, secretToken) {
		t.Errorf("printed as %s", printed)
	}
}

func TestHeadersForPeople(t *testing.T) {
	t.Parallel()
	service := upstream(t, func(http.ResponseWriter, *http.Request) {})
	response, _ := call(t, http.MethodGet, start(t, service, nil)+"/queue/v1/a?b", "")
	got := map[string]string{}
	for name := range response.Header {
		if strings.HasPrefix(name, "X-Taskcluster-") {
			got[name] = response.Header.Get(name)
		}
	}
	want := map[string]string{
		"X-Taskcluster-Endpoint":            service + "/api/queue/v1/a?b",
		"X-Taskcluster-Proxy-Version":       "1.2.3",
		"X-Taskcluster-Proxy-Revision":      "abc",
		"X-Taskcluster-Proxy-Temp-Clientid": "task-client/t/0",
		"X-Taskcluster-Proxy-Temp-Scopes":   `["a","b"]`,
		"X-Taskcluster-Authorized-Scopes":   `["a","queue:create-artifact:t/0"]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	many := start(t, service, func(o *Options) { o.Scopes = strings.Split(strings.Repeat("scope:", 1000), ":") })
	if response, _ := call(t, http.MethodGet, many+"/queue/v1/a", ""); response.StatusCode != 200 || response.Header.Get("X-Taskcluster-Authorized-Scopes") != "" {
		t.Errorf("1000 scopes are answered with %s and %d bytes of header", response.Status, len(response.Header.Get("X-Taskcluster-Authorized-Scopes")))
	}
}

func TestUnusableCredentials(t *testing.T) {
	t.Parallel()
	service := upstream(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []Credentials{{}, {ClientID: "a\"b"}, {ClientID: "a\nb"}, {ClientID: "a", Certificate: "{"}} {
		url := start(t, service, func(o *Options) { o.Credentials = func() (Credentials, error) { return c, nil } })
		if response, text := call(t, http.MethodGet, url+"/queue/v1/a", ""); response.StatusCode != http.StatusForbidden {
			t.Errorf("%+v: %s %s", c, response.Status, text)
		}
	}
}

// TestObserve has secrets looked at before the task gets the last byte.
func TestObserve(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", mostObserved+1)
	service := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/secrets/v1/secret/large":
			fmt.Fprint(w, large)
		case r.URL.Path == "/api/secrets/v1/secret/missing":
			w.WriteHeader(http.StatusNotFound)
		case r.Header.Get("Accept-Encoding") != "" || r.Header.Get("Range") != "":
			fmt.Fprint(w, "unreadable")
		default:
			fmt.Fprint(w, r.Method, " ", r.URL.Path)
		}
	})
	var mu sync.Mutex
	seen := map[string]string{}
	url := start(t, service, func(o *Options) {
		o.Observe = func(path string, body []byte) {
			mu.Lock()
			defer mu.Unlock()
			seen[path] = string(body)
		}
	})
	look := func(path string) string {
		mu.Lock()
		defer mu.Unlock()
		return seen[path]
	}
	_, text := call(t, http.MethodGet, url+"/secrets/v1/secret/a%2Fb", "", "Accept-Encoding", "gzip", "Range", "bytes=1-2")
	if text != "GET /api/secrets/v1/secret/a/b" || look("/v1/secret/a%2Fb") != text {
		t.Errorf("answered %q, seen %q", text, seen)
	}
	if _, text := call(t, http.MethodGet, url+"/secrets/v1/secret/large", ""); text != large {
		t.Errorf("got %d bytes of %d", len(text), len(large))
	}
	call(t, http.MethodGet, url+"/secrets/v1/secret/missing", "")
	call(t, http.MethodPut, url+"/secrets/v1/secret/put", "x")
	call(t, http.MethodGet, url+"/queue/v1/secret/queue", "")
	if len(seen) != 1 {
		t.Errorf("seen %v", seen)
	}
}

func TestBewit(t *testing.T) {
	t.Parallel()
	const service = "http://tc.example.com:8010"
	proxied := start(t, service, nil)
	for given, want := range map[string]string{
		service + "/api/queue/v1/a%2Fb?c=d": service + "/api/queue/v1/a%2Fb?c=d&bewit=",
		service + "/api/queue/v1/a":         service + "/api/queue/v1/a?bewit=",
		service:                             service + "/?bewit=",
		"https://hawk.example.org/a\n":      "https://hawk.example.org/a?bewit=",
		"https://hawk.example.org:1/a":      "",
		"https://me@hawk.example.org/a":     "",
		"http://hawk.example.org/a":         "",
		"https://127.0.0.1/a":               "",
		"https:a":                           "",
		"http://a":                          "",
		"":                                  "",
		"not a URL":                         "",
		service + "/a#b":                    "",
		service + "/" + strings.Repeat("a", 17<<10): "",
	} {
		response, text := call(t, http.MethodPost, proxied+"/bewit", given)
		if want == "" {
			if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%.100q is answered %s %s", given, response.Status, text)
			}
			continue
		}
		if response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(text, want) || response.Header.Get("Location") != text {
			t.Errorf("%.100q is answered %s %s", given, response.Status, text)
		}
		if u, err := url.Parse(text); err != nil || len(u.Query().Get("bewit")) < 50 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestStalls gives up what does not move, and nothing else.
func TestStalls(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	service := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/queue/v1/begins" {
			fmt.Fprint(w, "begin")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	defer close(release)
	proxied := start(t, service, func(o *Options) { o.Stall = 100 * time.Millisecond })
	if response, text := call(t, http.MethodGet, proxied+"/queue/v1/hangs", ""); response.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("a service that says nothing: %s %s", response.Status, text)
	}
	answer := sendAll(t, proxied, "GET /queue/v1/begins HTTP/1.1\r\nHost: proxy\r\n\r\n")
	if !strings.Contains(answer, "begin") || strings.HasSuffix(answer, "0\r\n\r\n") {
		t.Errorf("a service that stops: %q", answer)
	}
	answer = sendAll(t, proxied, "POST /queue/v1/a HTTP/1.1\r\nHost: proxy\r\nContent-Length: 10\r\n\r\nabc")
	if !strings.HasPrefix(answer, "HTTP/1.1 504 ") && answer != "" {
		t.Errorf("a task that stops: %q", answer)
	}
}

// sendAll is send for a connection that may break.
func sendAll(t *testing.T, to, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(to, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, request)
	answer, err := io.ReadAll(c)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("nothing ends after %q", answer)
	}
	return string(answer)
}

// TestClientsThatLeave are not waited for by the service.
func TestClientsThatLeave(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan struct{}), make(chan struct{})
	service := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	})
	proxied := start(t, service, nil)
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, proxied+"/queue/v1/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	go func() {
		<-arrived
		leave()
	}()
	if response, err := transport.RoundTrip(request); err == nil {
		response.Body.Close()
		t.Error("the request was answered")
	}
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Error("the service still works for nobody")
	}
}
