package livelog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/task"
)

// serveLog serves one log and returns its URL.
func serveLog(t testing.TB, f *Feature, log *task.Log) (url string, one *stream) {
	t.Helper()
	server := httptest.NewServer(f.Handler())
	t.Cleanup(server.Close)
	token := rand.Text()
	one = f.streams.open(token, log)
	return server.URL + logPath + token, one
}

func newFeature() *Feature {
	return New(Config{Enabled: true}, slog.New(slog.DiscardHandler))
}

func TestX10OnlyTheTokenOpensALog(t *testing.T) {
	t.Parallel()
	f, log := newFeature(), newLog(t)
	url, one := serveLog(t, f, log)
	_, ended := serveLog(t, f, log)
	f.streams.end(ended)
	fmt.Fprint(log, "text")
	log.Close()
	one.complete.Store(true)
	base, token := url[:len(url)-26], url[len(url)-26:]
	for _, row := range []struct {
		method, url string
		status      int
		body        string
	}{
		{http.MethodGet, url, 200, "text"},
		{http.MethodHead, url, 200, ""},
		{http.MethodGet, url + "?query", 200, "text"},
		{http.MethodGet, base + strings.ToLower(token), 401, "Access denied\n"},
		{http.MethodGet, base + token[:25], 401, "Access denied\n"},
		{http.MethodGet, url + "A", 401, "Access denied\n"},
		{http.MethodGet, base + "%00", 401, "Access denied\n"},
		{http.MethodHead, base + "x", 401, ""},
		{http.MethodGet, base, 404, "404 page not found\n"},
		{http.MethodGet, url + "/", 404, "404 page not found\n"},
		{http.MethodGet, strings.Replace(url, "/log/", "/", 1), 404, "404 page not found\n"},
		{http.MethodPut, url, 405, "Method Not Allowed\n"},
		{http.MethodPost, base + "x", 405, "Method Not Allowed\n"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), row.method, row.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := newClient(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != row.status || string(body) != row.body || err != nil {
			t.Errorf("%s %s: %s %q, %v", row.method, row.url, response.Status, body, err)
		}
		if response.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s: a page may not read the answer", row.method, row.url)
		}
	}
}

// TestX5BodiesAreNotWaitedFor asks for a log with a body that never comes.
func TestX5BodiesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	url, _ := serveLog(t, newFeature(), newLog(t))
	address, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /log/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}

// TestX12NoWebSockets asks for another protocol and gets the log, so that there
// are no frames, of whatever size, to read.
func TestX12NoWebSockets(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	fmt.Fprint(log, "text")
	log.Close()
	url, _ := serveLog(t, newFeature(), log)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		request.Header.Set(name, value)
	}
	response, err := newClient(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || string(body) != "text" || err != nil {
		t.Errorf("%s %q, %v", response.Status, body, err)
	}
}

func TestEndedRunsAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	streams := newStreams()
	for i := range remembered + 1 {
		one := streams.open(fmt.Sprint(i), nil)
		if found, over := streams.find(fmt.Sprint(i)); found != one || over {
			t.Fatalf("run %d is not there", i)
		}
		streams.end(one)
		streams.end(one)
		if found, over := streams.find(fmt.Sprint(i)); found != nil || !over {
			t.Fatalf("run %d is not over", i)
		}
	}
	if _, over := streams.find("0"); over || len(streams.over) != remembered || len(streams.running) != 0 {
		t.Errorf("%d runs are remembered, %d are running", len(streams.over), len(streams.running))
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	f := newFeature()
	growing, complete := newLog(t), newLog(t)
	growingURL, _ := serveLog(t, f, growing)
	completeURL, one := serveLog(t, f, complete)
	fmt.Fprint(growing, "0123456789")
	fmt.Fprint(complete, "0123456789")
	complete.Close()
	one.complete.Store(true)

	type row struct {
		status  int
		content string // Content-Range
		body    string
	}
	const last = "9007199254740991"
	refused := "There is nothing at that position yet\n"
	for header, want := range map[string]struct{ growing, complete row }{
		"":                                  {row{200, "", "0123456789+"}, row{200, "", "0123456789"}},
		"bytes=0-":                          {row{206, "bytes 0-" + last + "/*", "0123456789+"}, row{206, "bytes 0-9/10", "0123456789"}},
		"bytes=4-":                          {row{206, "bytes 4-" + last + "/*", "456789+"}, row{206, "bytes 4-9/10", "456789"}},
		"bytes=4-" + last:                   {row{206, "bytes 4-" + last + "/*", "456789+"}, row{206, "bytes 4-9/10", "456789"}},
		"bytes=10-":                         {row{206, "bytes 10-" + last + "/*", "+"}, row{416, "bytes */10", refused}},
		"bytes=11-":                         {row{416, "bytes */10", refused}, row{416, "bytes */10", refused}},
		"bytes=2-4":                         {row{206, "bytes 2-4/*", "234"}, row{206, "bytes 2-4/10", "234"}},
		"bytes=0-0":                         {row{206, "bytes 0-0/*", "0"}, row{206, "bytes 0-0/10", "0"}},
		"bytes=8-99":                        {row{206, "bytes 8-9/*", "89"}, row{206, "bytes 8-9/10", "89"}},
		"bytes=10-11":                       {row{416, "bytes */10", refused}, row{416, "bytes */10", refused}},
		"bytes=-3":                          {row{206, "bytes 7-9/*", "789"}, row{206, "bytes 7-9/10", "789"}},
		"bytes=-99":                         {row{206, "bytes 0-9/*", "0123456789"}, row{206, "bytes 0-9/10", "0123456789"}},
		"bytes=-0":                          {row{416, "bytes */10", refused}, row{416, "bytes */10", refused}},
		"bytes=99999999999999999999999999-": {row{416, "bytes */10", refused}, row{416, "bytes */10", refused}},
		"bytes=0-1,4-5":                     {row{200, "", "0123456789+"}, row{200, "", "0123456789"}},
		"bytes=5-2":                         {row{200, "", "0123456789+"}, row{200, "", "0123456789"}},
		"bytes=x-":                          {row{200, "", "0123456789+"}, row{200, "", "0123456789"}},
		"lines=1-":                          {row{200, "", "0123456789+"}, row{200, "", "0123456789"}},
	} {
		check := func(kind, url string, want row) {
			response := get(t, url, "Range", header)
			got := row{status: response.StatusCode, content: response.Header.Get("Content-Range")}
			follows := strings.HasSuffix(want.body, "+")
			body := make([]byte, len(strings.TrimSuffix(want.body, "+")))
			_, err := io.ReadFull(response.Body, body)
			got.body = string(body)
			if follows {
				got.body += "+"
				if response.ContentLength != -1 {
					t.Errorf("%q of the %s log ends after %d bytes", header, kind, response.ContentLength)
				}
			} else if rest, err := io.ReadAll(response.Body); len(rest) > 0 || err != nil {
				t.Errorf("%q of the %s log goes on with %q, %v", header, kind, rest, err)
			}
			response.Body.Close()
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" || err != nil {
				t.Errorf("%q of the %s log: %v %s", header, kind, err, diff)
			}
		}
		check("growing", growingURL, want.growing)
		check("complete", completeURL, want.complete)
	}
	if response := get(t, completeURL, "Range", "bytes=4-", "If-Range", `"tag"`); response.StatusCode != 200 {
		t.Errorf("a conditional range was answered %s", response.Status)
	}
}

func FuzzRange(f *testing.F) {
	for _, header := range []string{"bytes=0-", "bytes=-5", "bytes=1-2", "bytes=1-2,3-4", "bytes=-", "=", "bytes = 1 - 2", "bytes=+1--2"} {
		f.Add(header, false)
	}
	log, err := task.CreateLog(filepath.Join(f.TempDir(), "log"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { log.Close() })
	fmt.Fprint(log, "0123456789")
	f.Fuzz(func(t *testing.T, header string, complete bool) {
		one := &stream{log: log}
		one.complete.Store(complete)
		got, status := wanted(&http.Request{Header: http.Header{"Range": {header}}}, one)
		switch status {
		case http.StatusOK:
			if got.begin != 0 || !got.follow {
				t.Errorf("%q: the whole is %+v", header, got)
			}
		case http.StatusPartialContent:
			if got.begin < 0 || got.begin > 10 || !got.follow && (got.end <= got.begin || got.end > 10) {
				t.Errorf("%q: the part is %+v", header, got)
			}
		case http.StatusRequestedRangeNotSatisfiable:
		default:
			t.Errorf("%q: status %d", header, status)
		}
	})
}

func TestReadersThatComeBackLoseNothing(t *testing.T) {
	t.Parallel()
	f, log := newFeature(), newLog(t)
	url, one := serveLog(t, f, log)
	var want strings.Builder
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		for i := range 20_000 {
			line := fmt.Sprintf("line %d\n", i)
			want.WriteString(line)
			io.WriteString(log, line)
		}
		log.Close()
		one.complete.Store(true)
	}()
	var got strings.Builder
	for turn := 1; ; turn++ {
		response := get(t, url, "Range", fmt.Sprintf("bytes=%d-", got.Len()))
		if response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			break // the log is complete, and so is what was read
		}
		n, err := io.CopyN(&got, response.Body, int64(turn*turn))
		response.Body.Close()
		if err != nil && err != io.EOF {
			t.Fatalf("turn %d ended after %d bytes: %v", turn, n, err)
		}
	}
	<-writer
	if got.String() != want.String() {
		t.Errorf("%d bytes were read of %d", got.Len(), want.Len())
	}
}

func TestCutLogIsNoProperEnd(t *testing.T) {
	t.Parallel()
	f := newFeature()
	path := filepath.Join(t.TempDir(), "log")
	log, err := task.CreateLog(path)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := serveLog(t, f, log)
	fmt.Fprint(log, "text")
	response := get(t, url)
	expect(t, response.Body, "text")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(log, "")
	// The next bytes are written behind what is no longer there, and cut, too.
	fmt.Fprint(log, "more")
	log.Close()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	late := get(t, url)
	if rest, err := io.ReadAll(late.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
}

// stall opens a live log and never reads it.
func stall(t testing.TB, url string) net.Conn {
	t.Helper()
	address, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readersAre waits until so many readers are served.
func readersAre(t testing.TB, f *Feature, want int) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		f.streams.mu.Lock()
		readers := f.streams.readers
		f.streams.mu.Unlock()
		if readers == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("there are %d readers, not %d", readers, want)
		}
		// Nothing tells when the server has begun or ended an answer.
		time.Sleep(5 * time.Millisecond)
	}
}

func TestStuckReadersCostTheTaskNothing(t *testing.T) {
	t.Parallel()
	f, log := newFeature(), newLog(t)
	url, one := serveLog(t, f, log)
	text := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 400<<10/100)
	log.Write(text)
	const stuck, reading = 50, 50
	for range stuck {
		stall(t, url)
	}
	readersAre(t, f, stuck)
	var wait sync.WaitGroup
	got := make([]int64, reading)
	for i := range reading {
		body := get(t, url).Body
		wait.Go(func() {
			n, err := io.Copy(io.Discard, body)
			if err != nil {
				t.Error(err)
			}
			got[i] = n
		})
	}
	readersAre(t, f, stuck+reading)
	begin := time.Now()
	for range 50 {
		log.Write(text)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("20 MB took %v", took)
	}
	log.Close()
	one.complete.Store(true)
	wait.Wait()
	for i, n := range got {
		if n != log.Size() {
			t.Errorf("reader %d got %d bytes of %d", i, n, log.Size())
		}
	}
}

func TestMemoryOfStuckReaders(t *testing.T) { // alone, as it measures memory
	f, log := newFeature(), newLog(t)
	url, _ := serveLog(t, f, log)
	log.Write(make([]byte, 16<<20))
	stall(t, url)
	readersAre(t, f, 1)
	memory := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := memory()
	const readers = 200
	for range readers {
		stall(t, url)
	}
	readersAre(t, f, readers+1)
	if each := (memory() - before) / readers; each > 64<<10 {
		t.Errorf("a stuck reader takes %d bytes", each)
	}
}

func TestReadersThatTakeNothingAreDropped(t *testing.T) {
	t.Parallel()
	f, log := newFeature(), newLog(t)
	f.streams.patience = 100 * time.Millisecond
	url, _ := serveLog(t, f, log)
	log.Write(make([]byte, 32<<20))
	response, err := http.ReadResponse(bufio.NewReader(stall(t, url)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	readersAre(t, f, 0)
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Errorf("the stream of %d bytes ended properly", n)
	}
}

func TestWaitingReadersAreNotDropped(t *testing.T) {
	t.Parallel()
	f, log := newFeature(), newLog(t)
	f.streams.patience = time.Second
	url, _ := serveLog(t, f, log)
	response := get(t, url)
	// Long after the deadline of the last write there is something to read.
	timer := time.NewTimer(3 * f.streams.patience)
	<-timer.C
	fmt.Fprint(log, "text")
	expect(t, response.Body, "text")
}

func TestTooManyReaders(t *testing.T) {
	t.Parallel()
	f, log := newFeature(), newLog(t)
	f.streams.room = 1
	url, _ := serveLog(t, f, log)
	fmt.Fprint(log, "text")
	first := get(t, url)
	expect(t, first.Body, "text")
	if second := get(t, url); second.StatusCode != http.StatusServiceUnavailable || second.Header.Get("Retry-After") == "" {
		t.Errorf("the second reader got %s", second.Status)
	}
	first.Body.Close()
	readersAre(t, f, 0)
	if third := get(t, url); third.StatusCode != http.StatusOK {
		t.Errorf("the third reader got %s", third.Status)
	}
}

func TestReadersInProgressGetTheEndAfterTheRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{Enabled: true})
	f.Start(t.Context())
	if err := f.hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	url := target(t, f.published(t, "reference"))
	text := bytes.Repeat([]byte("0123456789"), 1<<20)
	f.run.Log.Write(text)
	response := get(t, url)
	expect(t, response.Body, "0123456789")
	begin := time.Now()
	if err := errors.Join(f.run.Log.Close(), f.hooks.Seal(t.Context()), f.hooks.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("the run waited %v for its reader", took)
	}
	if n, err := io.Copy(io.Discard, response.Body); n != int64(len(text)-10) || err != nil {
		t.Errorf("the reader got %d more bytes, %v", n, err)
	}
}

func TestCloseCutsStuckReadersOff(t *testing.T) {
	t.Parallel()
	f := newFeature()
	f.Start(t.Context())
	log := newLog(t)
	f.streams.open("token", log)
	log.Write(make([]byte, 32<<20))
	stall(t, f.server.base+logPath+"token")
	readersAre(t, f, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close returned %v", err)
	}
	readersAre(t, f, 0)
}

func TestPaceIsSharedByAllReaders(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Now()
	var last time.Duration
	for range paceRate / piece { // a second's worth
		last = p.reserve(now, piece)
	}
	if want := time.Second - time.Second*paceBurst/paceRate; last < want-time.Millisecond || last > want+time.Millisecond {
		t.Errorf("after a second's worth the pause is %v, not %v", last, want)
	}
	if again := p.reserve(now.Add(time.Hour), piece); again != 0 {
		t.Errorf("after an hour the pause is %v", again)
	}
}

// BenchmarkLogWithReaders measures how fast a task can print.
func BenchmarkLogWithReaders(b *testing.B) {
	for _, readers := range []struct{ reading, stuck int }{{0, 0}, {1, 0}, {0, 50}, {50, 50}} {
		b.Run(fmt.Sprintf("reading=%d/stuck=%d", readers.reading, readers.stuck), func(b *testing.B) {
			f, log := newFeature(), newLog(b)
			url, one := serveLog(b, f, log)
			for range readers.stuck {
				stall(b, url)
			}
			for range readers.reading {
				go io.Copy(io.Discard, stall(b, url))
			}
			readersAre(b, f, readers.stuck+readers.reading)
			text := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 64<<10/100)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				log.Write(text)
			}
			b.StopTimer()
			one.complete.Store(true)
			log.Close()
		})
	}
}
