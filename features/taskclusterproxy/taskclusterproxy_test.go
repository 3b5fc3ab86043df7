package taskclusterproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

func TestNotAsked(t *testing.T) {
	t.Parallel()
	hooks, err := New(Config{}).Attach(&task.Run{})
	if err != nil || hooks.Prepare != nil || hooks.Finish != nil || hooks.Close != nil {
		t.Errorf("got %+v, %v", hooks, err)
	}
}

func TestInterfaceWithoutContainers(t *testing.T) {
	t.Parallel()
	_, err := New(Config{}).Attach(&task.Run{Payload: payload.Payload{
		Features: payload.Features{TaskclusterProxy: true}, TaskclusterProxyInterface: "docker-bridge",
	}})
	if task.ResolutionOf(err) != task.MalformedPayload || !strings.Contains(fmt.Sprint(err), `write "localhost"`) {
		t.Errorf("got %v", err)
	}
}

func TestUnpreparedRunEnds(t *testing.T) {
	t.Parallel()
	hooks, err := New(Config{}).Attach(&task.Run{Payload: payload.Payload{Features: payload.Features{TaskclusterProxy: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(hooks.Finish(t.Context(), task.Failed), hooks.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestX1EachConnectionIsJudged has the same address again, from somebody else.
func TestX1EachConnectionIsJudged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	f := s.feature(Config{})
	var judged atomic.Int32
	f.judge = func(*task.Run, netip.AddrPort, netip.AddrPort) error {
		if judged.Add(1) == 1 {
			return nil
		}
		return errors.New("a stranger")
	}
	r := s.run(t, f, s.claim(t))
	port := 0
	for n := range 3 {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}).Dial("tcp", "127.0.0.1"+r.url[strings.LastIndex(r.url, ":"):])
		if err != nil {
			t.Fatal(err)
		}
		port = c.LocalAddr().(*net.TCPAddr).Port
		want := "200 OK"
		if n > 0 {
			want = "403 Forbidden"
		}
		// Two requests on one connection: judged once.
		reader := bufio.NewReader(c)
		for range 2 {
			fmt.Fprintf(c, "GET /queue/v1/ping HTTP/1.1\r\nHost: taskcluster\r\n\r\n")
			answer, err := http.ReadResponse(reader, nil)
			if err != nil && n > 0 {
				break // turned away connections are closed
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.Status != want {
				t.Errorf("connection %d is answered %s, %v", n, answer.Status, err)
			}
		}
		// A reset leaves the address free at once.
		if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
			t.Error(err)
		}
	}
	if n := judged.Load(); n != 3 {
		t.Errorf("judged %d times", n)
	}
}

// TestX1StrangersDelayNobody has many strangers who do not go away.
func TestX1StrangersDelayNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	f := s.feature(Config{})
	const strangers = 5 * mostJudged
	var judged atomic.Int32
	all := make(chan struct{})
	f.judge = func(*task.Run, netip.AddrPort, netip.AddrPort) error {
		n := judged.Add(1)
		if n == strangers {
			close(all)
		}
		if n <= strangers {
			return errors.New("a stranger")
		}
		return nil
	}
	r := s.run(t, f, s.claim(t))
	begun := time.Now()
	for range strangers {
		c, err := net.Dial("tcp", "127.0.0.1"+r.url[strings.LastIndex(r.url, ":"):])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	<-all
	if status, _ := ask(t, http.MethodGet, r.url+"/queue/v1/ping", ""); status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	// Each round of strangers used to take the time of a farewell.
	if took := time.Since(begun); took > 2*farewell {
		t.Errorf("the task waited %v", took)
	}
}

// TestX1UntellableCallersAreLetIn is for platforms that do not say who calls.
func TestX1UntellableCallersAreLetIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	f := s.feature(Config{})
	f.judge = func(*task.Run, netip.AddrPort, netip.AddrPort) error {
		return fmt.Errorf("not here: %w", errors.ErrUnsupported)
	}
	for range 2 {
		r := s.run(t, f, s.claim(t))
		for range 2 {
			if status, text := ask(t, http.MethodGet, r.url+"/queue/v1/ping", ""); status != 200 {
				t.Errorf("answered %d %s", status, text)
			}
		}
	}
	if n := strings.Count(s.log.String(), "cannot be told here"); n != 1 {
		t.Errorf("the operator was told %d times:\n%s", n, s.log)
	}
}

// TestX2ForgedRequests are those a browser makes for a page that has the
// proxy's address by some other name.
func TestX2ForgedRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(t, s.feature(Config{}), s.claim(t))
	port := r.url[strings.LastIndex(r.url, ":"):]
	for _, host := range []string{"taskcluster", "Taskcluster", "taskcluster" + port, "localhost" + port, "LOCALHOST" + port, "127.0.0.1" + port, "[::1]" + port} {
		status, text := ask(t, http.MethodGet, r.url+"/queue/v1/ping", "", "Host", host, "Sec-Fetch-Site", "none")
		if status != http.StatusOK {
			t.Errorf("host %s is answered %d %s", host, status, text)
		}
	}
	hosts := []string{
		"evil.example.com", "evil.example.com" + port, "localhost", "127.0.0.1", "[::1]", "localhost:1", "localhost.evil.example.com" + port,
		"127.0.0.1.evil.example.com" + port, "taskcluster.evil.example.com", "taskcluster.", "localhost." + port, "0.0.0.0" + port, "127.0.0.2" + port,
		"[::]" + port, "[0:0:0:0:0:0:0:1]" + port, "2130706433" + port, "0x7f.1" + port, "taskcluster:80", "xtaskcluster", "taskcluster" + port + "0",
	}
	headers := [][]string{
		{"Origin", "http://evil.example.com"},
		{"Origin", "null"},
		{"Origin", r.url},
		{"Origin", ""},
		{"Origin", "http://taskcluster"},
		{"Origin", "file://"},
		{"Origin", "http://localhost"},
		{"Origin", "chrome-extension://abc"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "same-origin"},
		{"Sec-Fetch-Site", ""},
		{"Sec-Fetch-Site", "NONE"},
		{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "none", "Origin", "http://evil.example.com"},
	}
	for _, host := range hosts {
		headers = append(headers, []string{"Host", host})
	}
	for _, header := range headers {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			if status, _ := ask(t, method, r.url+"/queue/v1/ping", "", header...); status != http.StatusForbidden {
				t.Errorf("%s with %q is answered %d", method, header, status)
			}
		}
	}
}

// TestX4ScopesAreTheTasks tries 1,000 pairs of what a task has and what a call
// needs.
func TestX4ScopesAreTheTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	f := s.feature(Config{})
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string { return []string{"a", "ab", "a/b", "b", "b/a", "ab/", "c", "*"}[random.IntN(8)] }
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	granted := 0
	for range 50 {
		var scopes []string
		for range random.IntN(3) {
			scope := []string{"secrets:get:", "secrets:set:", "secrets:*", "queue:", "secrets:get:"}[random.IntN(5)] + word()
			if random.IntN(3) == 0 {
				scope += "*"
			}
			scopes = append(scopes, strings.ReplaceAll(scope, "**", "*"))
		}
		claim := s.claim(t, scopes...)
		r := s.run(t, f, claim)
		for range 20 {
			name := strings.Trim(strings.ReplaceAll(word()+word(), "*", "x"), "/")
			answer, err := client.Get(r.url + "/secrets/v1/secret/" + name)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			want := http.StatusForbidden
			if task.Satisfies(scopes, "secrets:get:"+name) {
				want, granted = http.StatusNotFound, granted+1
			}
			if answer.StatusCode != want {
				t.Errorf("a task with %q asks for %s: %d, not %d: %s", scopes, name, answer.StatusCode, want, text)
			}
			if want == http.StatusForbidden && !strings.Contains(string(text), "InsufficientScopes") {
				t.Errorf("the refusal is not the service's: %s", text)
			}
		}
		if err := r.hooks.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if granted < 50 || granted > 950 {
		t.Errorf("%d of 1000 were granted, which shows little", granted)
	}
}

// TestX4OnlyItsOwnArtifacts has the one scope that is not the task's: it is for
// this run and no other, and what else a claim's credentials may do is not it.
func TestX4OnlyItsOwnArtifacts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	f := s.feature(Config{})
	other, claim := s.claim(t), s.claim(t)
	r := s.run(t, f, claim)
	body := `{"storageType":"reference","url":"https://example.com/","contentType":"text/plain","expires":"` +
		time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339) + `"}`
	for path, want := range map[string]int{
		claim.TaskID + "/runs/0/artifacts/public%2Fa": 200,
		other.TaskID + "/runs/0/artifacts/public%2Fa": 403,
		claim.TaskID + "/runs/0/reclaim":              403,
		claim.TaskID + "/runs/0/completed":            403,
	} {
		if status, text := ask(t, http.MethodPost, r.url+"/api/queue/v1/task/"+path, body, "Content-Type", "application/json"); status != want {
			t.Errorf("%s is answered %d, not %d: %s", path, status, want, text)
		}
	}
}

// TestX5Bounds are those of a server that a task may treat badly.
func TestX5Bounds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(t, s.feature(Config{}), s.claim(t))
	address := "127.0.0.1" + r.url[strings.LastIndex(r.url, ":"):]
	large, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()
	_, _ = io.WriteString(large, "GET /queue/v1/ping HTTP/1.1\r\nHost: taskcluster\r\nX-Large: "+strings.Repeat("x", 128<<10))
	// The rest of the headers was not read, so the answer may be lost.
	if answer, err := io.ReadAll(large); !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") && err == nil {
		t.Errorf("128 KiB of headers are answered %q", answer)
	}
	// Connections beyond the limit wait until another ends.
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	ping := func(c net.Conn, patience time.Duration) error {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, "GET /queue/v1/ping HTTP/1.1\r\nHost: taskcluster\r\n\r\n"); err != nil {
			return err
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return errors.Join(err, answer.Body.Close())
	}
	connect := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		return c
	}
	for i := range mostConnections {
		if err := ping(connect(), 20*time.Second); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	last := connect()
	if err := ping(last, 200*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection %d: %v", mostConnections, err)
	}
	open[0].Close()
	_ = last.SetDeadline(time.Now().Add(20 * time.Second))
	if answer, err := http.ReadResponse(bufio.NewReader(last), nil); err != nil || answer.StatusCode != 200 {
		t.Errorf("the one that waited: %v", err)
	}
}

// TestX7EndsWithTheTask has requests under way in every state.
func TestX7EndsWithTheTask(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	claim := s.claim(t)
	f := s.feature(Config{})
	// The queue's own long poll would do, too; this service never answers.
	arrived := make(chan struct{}, 1)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		c, err := silent.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	defer serving.Wait()
	defer silent.Close()
	f.config.RootURL = "http://" + silent.Addr().String()
	r := s.run(t, f, claim)
	address := "127.0.0.1" + r.url[strings.LastIndex(r.url, ":"):]
	connect := func(text string) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	connections := []net.Conn{
		connect("POST /queue/v1/slow HTTP/1.1\r\nHost: taskcluster\r\nContent-Length: 10\r\n\r\nabc"),
		connect("GET /queue/v1/sl"),
		connect(""),
	}
	<-arrived
	begin := time.Now()
	if err := r.hooks.Finish(t.Context(), task.Completed); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the end took %v", took)
	}
	for i, c := range connections {
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d is still open", i)
		}
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
	if strings.Contains(s.log.String(), "cannot end the proxy") {
		t.Errorf("the operator was told:\n%s", s.log)
	}
}

// TestX7ReclaimedCredentials are used from the next request on.
func TestX7ReclaimedCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	claim := s.claim(t)
	first := claim
	r := s.run(t, s.feature(Config{}), claim)
	r.Run.Claim = func() queue.Claim {
		mu.Lock()
		defer mu.Unlock()
		return claim
	}
	signer := func() string {
		t.Helper()
		response, err := http.Get(r.url + "/queue/v1/task/" + claim.TaskID)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("answered %s", response.Status)
		}
		return response.Header.Get("X-Taskcluster-Proxy-Temp-ClientId")
	}
	defer http.DefaultClient.CloseIdleConnections()
	if got := signer(); got != first.Credentials.ClientID {
		t.Errorf("signed by %s", got)
	}
	for range 3 {
		newer, err := s.worker.Reclaim(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		claim = newer
		mu.Unlock()
		if got := signer(); got != newer.Credentials.ClientID {
			t.Errorf("after a reclaim signed by %s, not %s", got, newer.Credentials.ClientID)
		}
	}
}

// TestX9ManyAtOnce opens 100 proxies in parallel.
func TestX9ManyAtOnce(t *testing.T) {
	t.Parallel()
	var opening sync.WaitGroup
	var mu sync.Mutex
	urls := map[string]bool{}
	for range 100 {
		opening.Go(func() {
			server := newServer(http.NotFoundHandler(), func(_, _ netip.AddrPort) error { return nil }, slog.New(slog.DiscardHandler))
			server.atEnd = func() {}
			url, err := server.open(t.Context(), Config{}.ports())
			if err != nil {
				t.Error(err)
			}
			t.Cleanup(func() {
				if err := server.close(); err != nil {
					t.Error(err)
				}
			})
			mu.Lock()
			defer mu.Unlock()
			if urls[url] {
				t.Errorf("%s is there twice", url)
			}
			urls[url] = true
		})
	}
	opening.Wait()
}

// TestX9TakenPort is about a port that the operator chose.
func TestX9TakenPort(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = s.tryRun(t, s.feature(Config{Port: port, Tasks: 1}), s.claim(t))
	if task.ResolutionOf(err) != task.ResourceUnavailable || !strings.Contains(fmt.Sprint(err), strconv.Itoa(port)) || !strings.Contains(fmt.Sprint(err), "taskclusterProxyPort") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(s.log.String(), strconv.Itoa(port)) {
		t.Errorf("the operator was told:\n%s", s.log)
	}
	// With more tasks the next port is tried.
	r, err := s.tryRun(t, s.feature(Config{Port: port, Tasks: 3}), s.claim(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, got, _ := net.SplitHostPort(strings.TrimPrefix(r.url, "http://")); got != strconv.Itoa(port+portStep) && got != strconv.Itoa(port+2*portStep) {
		t.Errorf("it is at %s, beside %d", r.url, port)
	}
}

// TestX9BothLoopbackAddresses are the proxy's, whichever "localhost" is.
func TestX9BothLoopbackAddresses(t *testing.T) {
	t.Parallel()
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("there is no IPv6 here: %v", err)
	}
	defer six.Close()
	port := six.Addr().(*net.TCPAddr).Port
	if listeners, _, err := listen(t.Context(), []int{port}); err == nil {
		for _, l := range listeners {
			l.Close()
		}
		t.Error("a port is used that somebody else has at ::1")
	}
	s := newSite(t)
	r := s.run(t, s.feature(Config{}), s.claim(t))
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		if status, text := ask(t, http.MethodGet, strings.Replace(r.url, "localhost", host, 1)+"/queue/v1/ping", ""); status != 200 {
			t.Errorf("%s is answered %d %s", host, status, text)
		}
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		config Config
		want   []int
	}{
		{Config{}, []int{0, 0, 0}},
		{Config{Port: 80}, []int{80}},
		{Config{Port: 80, Tasks: 3}, []int{80, 84, 88}},
		{Config{Port: 65530, Tasks: 5}, []int{65530, 65534}},
	} {
		if diff := cmp.Diff(test.want, test.config.ports()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.config, diff)
		}
	}
}

// TestSecretsAreMasked reads one through the proxy and then writes it.
func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(t, s.feature(Config{}), s.claim(t, "secrets:get:a", "secrets:set:a"))
	const first, second = "the first hidden value", "the second hidden value"
	body := `{"secret":{"x":"` + first + `","y":[{"z":"` + second + `"},7,null,""]},"expires":"2099-01-01T00:00:00.000Z"}`
	if status, text := ask(t, http.MethodPut, r.url+"/secrets/v1/secret/a", body, "Content-Type", "application/json"); status != 200 {
		t.Fatalf("answered %d %s", status, text)
	}
	if status, text := ask(t, http.MethodGet, r.url+"/secrets/v1/secret/a", ""); status != 200 || !strings.Contains(text, second) {
		t.Fatalf("answered %d %s", status, text)
	}
	fmt.Fprintln(r.Log, "it says", first, "and", second)
	if err := r.Log.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := r.Log.Follow(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil || strings.Contains(string(text), "hidden") || !strings.Contains(string(text), "it says") {
		t.Errorf("the log is %q, %v", text, err)
	}
}

func TestSecretsIn(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{"secret":{"a":"1","b":["2",{"c":"3"}],"d":4,"e":null,"f":""},"expires":"x"}`: {"1", "2", "3"},
		`{"secret":"s"}`:        {"s"},
		`{"secrets":["a","b"]}`: nil,
		`[`:                     nil,
		`{}`:                    nil,
	} {
		got := secretsIn([]byte(body))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

// TestX5HeadersThatNeverEnd are not waited for.
func TestX5HeadersThatNeverEnd(t *testing.T) {
	t.Parallel()
	s := newServer(http.NotFoundHandler(), func(_, _ netip.AddrPort) error { return nil }, slog.New(slog.DiscardHandler))
	s.atEnd = func() {}
	if s.http.ReadHeaderTimeout != 10*time.Second {
		t.Errorf("headers have %v", s.http.ReadHeaderTimeout)
	}
	s.http.ReadHeaderTimeout = 100 * time.Millisecond
	url, err := s.open(t.Context(), Config{}.ports())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := net.Dial("tcp", "127.0.0.1"+url[strings.LastIndex(url, ":"):])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, "GET /queue/v1/ping HTTP/1.1\r\nHost: taskcluster\r\nX-A: ")
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}
