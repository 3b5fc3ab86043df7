package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are limits for servers that fail on purpose.
var quick = Limits{
	FirstByte: 5 * time.Second, Stall: 5 * time.Second, Attempts: 4,
	FirstPause: time.Millisecond, MaxPause: 2 * time.Millisecond, RetryAfter: 5 * time.Millisecond,
}

// content returns bytes that differ everywhere, always the same for a seed.
func content(seed uint64, size int) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed)})
	data := make([]byte, size)
	_, _ = source.Read(data)
	return data
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// step answers one request.
type step func(w http.ResponseWriter, r *http.Request)

// script is a server whose requests are answered by one step each, the last one
// by any more.
type script struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
}

func serve(t *testing.T, steps ...step) *script {
	t.Helper()
	s := &script{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := min(len(s.requests), len(steps)-1)
		s.requests = append(s.requests, r.Clone(context.WithoutCancel(r.Context())))
		s.mu.Unlock()
		steps[n](w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *script) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func newClient(t *testing.T, limits Limits) *Client {
	t.Helper()
	c := &Client{Limits: limits}
	t.Cleanup(c.CloseIdle)
	return c
}

func at(url string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return url, nil }
}

// result is what a download ended with.
type result struct {
	data     []byte
	sum      string
	attempts int
	err      error
}

func download(t *testing.T, c *Client, r Request) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := c.Open(ctx, r)
	if err != nil {
		return result{err: err}
	}
	defer b.Close()
	data, err := io.ReadAll(b)
	if b.Size() != int64(len(data)) {
		t.Errorf("Size() = %d, but %d bytes were read", b.Size(), len(data))
	}
	return result{data, b.SHA256(), b.Attempts(), err}
}

// wants fails the test unless the download brought what it should.
func (r result) wants(t *testing.T, data []byte) {
	t.Helper()
	switch {
	case r.err != nil:
		t.Fatalf("download ended with: %v", r.err)
	case !bytes.Equal(r.data, data):
		t.Fatalf("downloaded %d bytes that are not the %d expected", len(r.data), len(data))
	case r.sum != sum(data):
		t.Fatalf("SHA256() = %s, want %s", r.sum, sum(data))
	}
}

// fails returns the download's error, which must be an *Error.
func (r result) fails(t *testing.T) *Error {
	t.Helper()
	failed, ok := errors.AsType[*Error](r.err)
	if !ok {
		t.Fatalf("download ended with %v, want an *Error", r.err)
	}
	if r.sum != "" {
		t.Errorf("a broken download has the hash %s", r.sum)
	}
	return failed
}

// file is a server's file and how it tells of it.
type file struct {
	data    []byte
	etag    string
	header  http.Header
	chunked bool // without a length
}

// whole sends all of it, whatever was asked for; cut is how many bytes come
// before the connection ends, -1 for all.
func (f file) whole(cut int) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		f.head(w)
		if f.chunked {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(f.data)))
		}
		send(w, f.data, cut)
	}
}

// rest sends the part that was asked for, if the validator is right.
func (f file) rest(cut int) step {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"))
		mark := r.Header.Get("If-Range")
		if err != nil || mark == "" || mark != f.etag && mark != f.header.Get("Last-Modified") {
			f.whole(cut)(w, r)
			return
		}
		f.head(w)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(f.data)-1, len(f.data)))
		w.Header().Set("Content-Length", strconv.Itoa(len(f.data)-from))
		w.WriteHeader(http.StatusPartialContent)
		send(w, f.data[from:], cut)
	}
}

func (f file) head(w http.ResponseWriter) {
	for name, values := range f.header {
		w.Header()[name] = values
	}
	if f.etag != "" {
		w.Header().Set("ETag", f.etag)
	}
}

// send sends the beginning of an answer, and then ends the connection.
func send(w http.ResponseWriter, data []byte, cut int) {
	if cut < 0 || cut > len(data) {
		_, _ = w.Write(data)
		return
	}
	_, _ = w.Write(data[:cut])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func status(code int, header ...string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}
