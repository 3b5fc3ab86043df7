package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A stream of HTTP/2 that is reset is a broken connection like any other.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	f := file{data: content(1, size), etag: `"a"`}
	n := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the request came by %s", r.Proto)
		}
		if n++; n == 1 {
			f.whole(size/2)(w, r)
		}
		f.rest(-1)(w, r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	got := download(t, &Client{HTTP: s.Client(), Limits: quick}, Request{Locate: at(s.URL)})
	got.wants(t, f.data)
	if got.attempts != 2 {
		t.Errorf("Attempts() = %d, want 2", got.attempts)
	}
}

const proxied = "FETCH_TEST_PROXIED"

// TestProxy downloads in a process of its own, since the environment is read
// once in each.
func TestProxy(t *testing.T) {
	t.Parallel()
	if address := os.Getenv(proxied); address != "" {
		got := download(t, newClient(t, quick), Request{Locate: at(address)})
		got.wants(t, []byte("by proxy"))
		return
	}
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "content.invalid" || r.Header.Get("Proxy-Authorization") == "" {
			t.Errorf("the proxy is asked for %s, with authorization %q", r.URL, r.Header.Get("Proxy-Authorization"))
		}
		_, _ = io.WriteString(w, "by proxy")
	})
	direct := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if auth := r.Header.Get("Proxy-Authorization"); auth != "" {
			t.Errorf("the password of the proxy is sent to a server: %s", auth)
		}
		_, _ = io.WriteString(w, "by proxy")
	})
	for _, address := range []string{"http://content.invalid/file", direct.URL} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProxy$")
		child.Env = append(os.Environ(), proxied+"="+address, "NO_PROXY=127.0.0.1",
			"HTTP_PROXY="+strings.Replace(proxy.URL, "http://", "http://user:password@", 1))
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", address, err, out)
		}
	}
	if len(proxy.seen()) != 1 || len(direct.seen()) != 1 {
		t.Errorf("%d requests to the proxy, %d directly", len(proxy.seen()), len(direct.seen()))
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"", "bytes 0-0/1", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 0-99999999999999999999/1", "bytes 1-2/3/4", "bytes  1-2/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := contentRange(s)
		if !ok {
			return
		}
		if first < 0 || last < first || total >= 0 && total <= last || total < -1 {
			t.Fatalf("%q is bytes %d to %d of %d", s, first, last, total)
		}
		size := "*"
		if total >= 0 {
			size = fmt.Sprint(total)
		}
		again := fmt.Sprintf("bytes %d-%d/%s", first, last, size)
		if f2, l2, t2, ok := contentRange(again); !ok || f2 != first || l2 != last || t2 != total {
			t.Fatalf("%q is read as %q, which is not read as the same", s, again)
		}
	})
}
