package taskclusterproxy

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/tooltest"
	"github.com/taskcluster/generic-worker/process"
)

// codes runs a command and counts the status codes that curl in it prints.
func codes(t *testing.T, c *process.Command) map[string]int {
	t.Helper()
	var out strings.Builder
	c.Output = &out
	if c.Env == nil {
		c.Env = os.Environ()
	}
	result, err := c.Run(t.Context())
	if err != nil {
		t.Fatalf("%v: %+v %v", c.Argv, result, err)
	}
	counted := map[string]int{}
	for code := range strings.FieldsSeq(out.String()) {
		counted[code]++
	}
	return counted
}

// TestX1StrangersAreRefused has real processes call the proxy of a task: its
// own, another task's, another user's, and one that nobody of ours started.
func TestX1StrangersAreRefused(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "curl")
	s := newSite(t)
	f := s.feature(Config{})
	f.judge = New(Config{}).judge
	r, other := s.run(t, f, s.claim(t)), s.run(t, f, s.claim(t))
	const calls = 100
	many := func(host string) []string {
		url := strings.Replace(r.url, "localhost", host, 1)
		return []string{
			"curl", "--silent", "--http1.1", "--header", "Connection: close", "--output", "/dev/null", "--write-out", "%{http_code}\\n",
			url + "/queue/v1/ping?n=[1-" + strconv.Itoa(calls) + "]",
		}
	}
	expect := func(who string, got map[string]int, code string) {
		t.Helper()
		if len(got) != 1 || got[code] != calls {
			t.Errorf("%s: %v, not %d times %s", who, got, calls, code)
		}
	}
	command := func(run *running, argv ...string) *process.Command {
		t.Helper()
		c, err := run.Session.Command(argv, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	expect("the task itself", codes(t, command(r, many("127.0.0.1")...)), "200")
	expect("the task itself, by name", codes(t, command(r, many("localhost")...)), "200")
	expect("a child without environment", codes(t, command(r, append([]string{"sh", "-c", `env -i PATH="$PATH" "$@"; true`, "sh"}, many("127.0.0.1")...)...)), "200")
	expect("a child in another session", codes(t, command(r, append([]string{"setsid", "--wait"}, many("127.0.0.1")...)...)), "200")
	expect("another task", codes(t, command(other, many("127.0.0.1")...)), "403")
	expect("a process that is no task's", codes(t, &process.Command{Argv: many("127.0.0.1"), Dir: "/"}), "403")
	if os.Getuid() == 0 {
		expect("another user", codes(t, &process.Command{Argv: many("127.0.0.1"), Dir: "/", As: process.User(65534, 65534, nil)}), "403")
	} else {
		t.Log("only root may start processes of another user")
	}
	if status, text := ask(t, http.MethodGet, r.url+"/queue/v1/ping", ""); status != http.StatusForbidden || !strings.Contains(text, "not started by the task") {
		t.Errorf("this process is answered %d %s", status, text)
	}
	// Requests on one connection are judged once.
	argv := many("127.0.0.1")
	argv = append(argv[:3], argv[5:]...)
	expect("the task itself, on one connection", codes(t, command(r, argv...)), "200")
}
