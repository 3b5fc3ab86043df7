//go:build unix

package interactive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

var on = payload.Interactive{On: true}

func asClose(err error, end *websocket.CloseError) bool { return errors.As(err, end) }

// TestShellIsTheTasks opens a shell and looks around.
func TestShellIsTheTasks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	if f.Name() != "interactive" || len(f.hooks.Reserves) != 1 || f.hooks.Reserves[0] != Artifact || f.hooks.Scopes != nil || f.hooks.Hold != nil {
		t.Errorf("%s has the hooks %+v", f.Name(), f.hooks)
	}
	socket := f.open(t, t.Context())
	c := visit(t, socket)
	c.types(t, `echo "<$COLOR $PWD $TERM $0>"`)
	if got, want := c.sees(t, `<(blue .*)>`), "blue "+f.run.Session.Dir+" xterm-256color bash"; got != want {
		t.Errorf("the shell has %q, not %q", got, want)
	}
	c.types(t, `tty; stty size`)
	c.sees(t, `24 80\r`)
	c.send(t, "\x02\x32\x00\x2c\x01")
	c.types(t, `stty size`)
	c.sees(t, `50 300\r`)
	c.send(t, "\x02\x00\x00\x00\x00") // a window that is not shown
	c.types(t, `stty size`)
	c.sees(t, `50 300\r`)
	c.types(t, `sh -c 'echo slee""ping; exec sleep 100'`)
	c.sees(t, `sleeping`)
	c.send(t, "\x01\x03") // Ctrl-C
	c.types(t, `echo "code $?"`)
	c.sees(t, `code 130`)
	c.types(t, `echo here > found; exit 7`)
	if _, code, reason := c.ends(t); code != websocket.StatusNormalClosure || reason != "the shell exited with 7" {
		t.Errorf("the shell ended with %d %q", code, reason)
	}
	if text, err := os.ReadFile(filepath.Join(f.run.Session.Dir, "found")); err != nil || string(text) != "here\n" {
		t.Errorf("got %q, %v", text, err)
	}
	f.finish(t)
	log := f.text(t)
	for _, want := range []string{
		`\[interactive\] while the task runs, open a shell with .generic-worker task shell ` + f.run.TaskID + ` --run 0. or`,
		`\[interactive\] shell opened by 127\.0\.0\.1:\d+\n`,
		`\[interactive\] shell opened by 127\.0\.0\.1:\d+ closed after .*: the shell exited with 7\n`,
	} {
		if !regexp.MustCompile(want).MatchString(log) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}

// TestLinkToTheShell looks at the artifact that people open.
func TestLinkToTheShell(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		wanted payload.Interactive
		ends   time.Duration // of the task, from now; 0 is later than all else
		want   time.Duration
	}{
		"plain":             {wanted: on, want: 75 * time.Minute},
		"hold":              {wanted: payload.Interactive{On: true, HoldOnFailure: 30 * time.Minute}, want: 105 * time.Minute},
		"with the task":     {wanted: on, ends: time.Minute, want: time.Minute},
		"not with the task": {wanted: on, ends: 80 * time.Minute, want: 75 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{}, row.wanted)
			if row.ends > 0 {
				f.run.Definition.Expires = tcclient.Time(time.Now().Add(row.ends))
			}
			socket := f.open(t, t.Context())
			page, err := url.Parse(f.page(t))
			if err != nil {
				t.Fatal(err)
			}
			query := page.Query()
			base := page.Scheme + "://" + page.Host + page.Path
			if base != f.fake.URL+"/shell/" || query.Get("v") != "2" || query.Get("taskId") != f.run.TaskID || query.Get("runId") != "0" || len(query) != 4 {
				t.Errorf("the page is %s", page)
			}
			secret, ok := strings.CutPrefix(socket, f.server.base+"/shell/")
			if !ok || len(secret) < 26 || !strings.HasPrefix(socket, "ws://127.0.0.1:") {
				t.Errorf("the shell is at %s", socket)
			}
			view, _ := f.fake.Run(f.run.TaskID, f.run.RunID)
			stored := view.Artifact(Artifact)
			if left := time.Until(stored.Expires); left > row.want || left < row.want-10*time.Second {
				t.Errorf("the link expires in %v", left)
			}
			if stored.StorageType != "reference" || stored.ContentType != "text/html; charset=utf-8" {
				t.Errorf("the link is %+v", stored)
			}
			fmt.Fprintln(f.run.Log, "the task says", secret)
			if err := f.run.Log.Close(); err != nil {
				t.Error(err)
			}
			if strings.Contains(f.text(t), secret) || strings.Contains(f.log.String(), secret) {
				t.Errorf("the secret is in a log:\n%s%s", f.text(t), f.log)
			}
		})
	}
}

// TestX11ShellsEndWithTheTask leaves processes of all kinds in shells.
func TestX11ShellsEndWithTheTask(t *testing.T) {
	t.Parallel()
	cancel := task.Errorf(task.Canceled, "somebody canceled the task")
	for name, row := range map[string]struct {
		abort error // nil: the commands end
		want  string
	}{
		"done":     {want: "the task is over"},
		"canceled": {abort: cancel, want: "somebody canceled the task"},
		"shutdown": {abort: task.Errorf(task.WorkerShutdown, "the worker stops"), want: "the worker stops"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{}, on)
			ctx, abort := context.WithCancelCause(t.Context())
			defer abort(nil)
			socket := f.open(t, ctx)
			c := visit(t, socket)
			pids := []int{
				c.starts(t, `sh -c 'X; exec sleep 600' &`),
				c.starts(t, `nohup sh -c 'X >/dev/tty; exec sleep 600' &`),
				c.starts(t, `setsid sh -c 'X; trap "" HUP TERM INT; while :; do sleep 1; done' &`),
			}
			c.types(t, `sh -c 'trap "" HUP TERM; echo rea""dy; while :; do sleep 1; done'`)
			c.sees(t, `ready`)
			secret := socket[strings.LastIndex(socket, "/")+1:]
			room, _ := f.server.find(secret)
			began := time.Now()
			if row.abort != nil {
				abort(row.abort)
				if !becomes(patient, func() bool { return ask(t, socket, nil) == http.StatusGone }) {
					t.Error("a shell can be opened in a task that is aborted")
				}
			}
			if err := f.hooks.Finish(ctx, task.Failed); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 15*time.Second { // two when nothing else runs
				t.Errorf("it took %v", took)
			}
			if open, _ := f.server.find(secret); open != nil || len(room.ends) > 0 {
				t.Errorf("the task went on with %d shells", len(room.ends))
			}
			for _, pid := range pids {
				dies(t, pid)
			}
			shown, code, reason := c.ends(t)
			if !strings.HasSuffix(shown, "\r\n[generic-worker] this shell ends: "+row.want+"\r\n") || code != websocket.StatusGoingAway || reason != row.want {
				t.Errorf("the shell ended with %d %q, after\n%s", code, reason, shown)
			}
			if status := ask(t, socket, nil); status != http.StatusGone {
				t.Errorf("afterwards the answer is %d", status)
			}
			if !strings.Contains(f.text(t), ": "+row.want+"\n") {
				t.Errorf("the log lacks the end of the shell:\n%s", f.text(t))
			}
		})
	}
}

// TestLeavingEndsOneShell closes the page of one of two shells.
func TestLeavingEndsOneShell(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	ctx, abort := context.WithCancel(t.Context())
	defer abort()
	socket := f.open(t, ctx)
	one, other := visit(t, socket), visit(t, socket)
	left, stays := one.starts(t, `nohup sh -c 'X >/dev/tty; exec sleep 600' &`), other.starts(t, `sh -c 'X; exec sleep 600' &`)
	if err := one.CloseNow(); err != nil {
		t.Error(err)
	}
	dies(t, left)
	other.types(t, fmt.Sprintf(`kill -0 %d && echo al""ive`, stays))
	other.sees(t, `alive`)
	if ctx.Err() != nil {
		t.Error("the task was aborted")
	}
	f.finish(t)
	dies(t, stays)
	if !strings.Contains(f.text(t), ": the client left\n") {
		t.Errorf("the log lacks the end of the shell:\n%s", f.text(t))
	}
}

// TestX11WhoMayEnter makes requests that are not those of the page.
func TestX11WhoMayEnter(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	socket := f.open(t, t.Context())
	base := socket[:strings.LastIndex(socket, "/")+1]
	other := newFixture(t, Config{}, on)
	otherSocket := other.open(t, t.Context())
	if otherSocket[strings.LastIndex(otherSocket, "/"):] == socket[strings.LastIndex(socket, "/"):] {
		t.Error("two runs have the same secret")
	}
	origin := func(values ...string) http.Header { return http.Header{"Origin": values} }
	for name, row := range map[string]struct {
		socket string
		header http.Header
		want   int
	}{
		"no page":                     {socket, nil, http.StatusSwitchingProtocols},
		"the page":                    {socket, origin(f.fake.URL), http.StatusSwitchingProtocols},
		"another site":                {socket, origin("https://evil.example"), http.StatusForbidden},
		"another site by its host":    {socket, http.Header{"Origin": {"https://evil.example"}, "Host": {"evil.example"}}, http.StatusForbidden},
		"the site of the shell":       {socket, origin(strings.Replace(f.server.base, "ws", "http", 1)), http.StatusForbidden},
		"another scheme":              {socket, origin(strings.Replace(f.fake.URL, "http", "https", 1)), http.StatusForbidden},
		"begins like the page":        {socket, origin(f.fake.URL + ".evil.example"), http.StatusForbidden},
		"a page of no site":           {socket, origin("null"), http.StatusForbidden},
		"an empty origin":             {socket, origin(""), http.StatusForbidden},
		"two origins":                 {socket, origin(f.fake.URL, "https://evil.example"), http.StatusForbidden},
		"wrong secret":                {base + strings.Repeat("A", 26), nil, http.StatusUnauthorized},
		"wrong secret, another site":  {base + "x", origin("https://evil.example"), http.StatusUnauthorized},
		"no secret":                   {base, nil, http.StatusNotFound},
		"more than the secret":        {socket + "/x", nil, http.StatusNotFound},
		"a secret of another worker":  {base + otherSocket[strings.LastIndex(otherSocket, "/")+1:], nil, http.StatusUnauthorized},
		"the beginning of the secret": {socket[:len(socket)-1], nil, http.StatusUnauthorized},
	} {
		if got := ask(t, row.socket, row.header); got != row.want {
			t.Errorf("%s: the answer is %d, not %d", name, got, row.want)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(socket, "ws", "http", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("without a websocket the answer is %d", response.StatusCode)
	}
}

// TestEndedRunsAreForgottenInTheEnd has more runs end than are remembered.
func TestEndedRunsAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	s := newServer("", slog.New(slog.DiscardHandler))
	for i := range remembered + 1 {
		s.open(fmt.Sprint(i), newRoom(nil))
		s.forget(fmt.Sprint(i))
		s.forget(fmt.Sprint(i)) // changes nothing
	}
	for i, want := range map[int]bool{0: false, 1: true, remembered: true} {
		if room, over := s.find(fmt.Sprint(i)); room != nil || over != want {
			t.Errorf("run %d: over %v", i, over)
		}
	}
}

// TestX5BodiesAreNotWaitedFor asks for a shell with a body that never comes.
func TestX5BodiesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	f.server.http.ReadTimeout = min(f.server.http.ReadTimeout, time.Second)
	base, err := url.Parse(f.open(t, t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", base.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /shell/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}

// TestManyShells opens more than there is room for.
func TestManyShells(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	socket := f.open(t, t.Context())
	room, _ := f.server.find(socket[strings.LastIndex(socket, "/")+1:])
	for range mostShells {
		seat, err := room.enter(func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		defer room.leave(seat, false)
	}
	if got := ask(t, socket, nil); got != http.StatusServiceUnavailable {
		t.Errorf("the answer is %d", got)
	}
	room.leave(1, false)
	room.leave(1, false) // changes nothing
	visit(t, socket).types(t, "exit")
	for seat := range mostShells {
		room.leave(seat+1, false)
	}
}

// TestPortTaken has somebody else listen on the port.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := newFixture(t, Config{Port: taken.Addr().(*net.TCPAddr).Port}, on)
	c := visit(t, f.open(t, t.Context()))
	c.types(t, `echo wor""ks`)
	c.sees(t, `works`)
	if !strings.Contains(f.log.String(), "set interactivePort to another") {
		t.Errorf("the operator reads\n%s", f.log)
	}
}

// TestWithoutAListener prepares a run of a worker that serves no shells.
func TestWithoutAListener(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, payload.Interactive{On: true, HoldOnFailure: time.Hour})
	if err := errors.Join(f.hooks.Prepare(t.Context()), f.hooks.Hold(t.Context())); err != nil {
		t.Error(err)
	}
	f.finish(t)
	view, _ := f.fake.Run(f.run.TaskID, f.run.RunID)
	if len(view.Artifacts) > 0 || !strings.Contains(f.text(t), "this task has no shell: the worker could not listen for one") {
		t.Errorf("there are %v; the log is\n%s", view.Artifacts, f.text(t))
	}
}

// TestWithoutALink prepares a run whose link the queue does not take.
func TestWithoutALink(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	f.Start(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.hooks.Prepare(ctx); err != nil {
		t.Error(err)
	}
	f.finish(t)
	if len(f.server.rooms) > 0 || !strings.Contains(f.text(t), "this task has no shell: cannot publish the link to it") {
		t.Errorf("the log is\n%s", f.text(t))
	}
}

// TestNotAsked attaches to a run that wants no shell.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, payload.Interactive{})
	if f.hooks.Prepare != nil || f.hooks.Finish != nil || f.hooks.Reserves != nil {
		t.Errorf("the hooks are %+v", f.hooks)
	}
}

// TestX12BadMessages sends what no client sends, and then what clients of the
// official worker do.
func TestX12BadMessages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	socket := f.open(t, t.Context())
	c := visit(t, socket)
	for _, message := range []string{"", "\x00", "\x03abc", "ls\n", "\x02", "\x02\x01\x00\x01", "\x02\x00\x00\x01\x00", "\xff" + strings.Repeat("\xff", mostMessage/2)} {
		c.send(t, message)
		if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	for rows := range 2000 { // a window that is dragged
		c.send(t, string([]byte{2, byte(rows), byte(rows >> 8), 99, 0, 0}))
	}
	if err := c.Write(t.Context(), websocket.MessageText, []byte("\x01stty size; exit 5\n")); err != nil {
		t.Fatal(err)
	}
	if shown, code, reason := c.ends(t); code != websocket.StatusNormalClosure || reason != "the shell exited with 5" || !strings.Contains(shown, "1999 99\r\n") {
		t.Errorf("the shell ended with %d %q, after\n%s", code, reason, shown)
	}
	c = visit(t, socket)
	c.send(t, "\x01"+strings.Repeat("x", mostMessage))
	if _, code, reason := c.ends(t); code != websocket.StatusMessageTooBig {
		t.Errorf("after a huge message the shell ended with %d %q", code, reason)
	}
}

// TestShellThatDoesNotStart has no directory to start in.
func TestShellThatDoesNotStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	socket := f.open(t, t.Context())
	if err := os.Remove(f.run.Session.Dir); err != nil {
		t.Fatal(err)
	}
	shown, code, reason := visit(t, socket).ends(t)
	if code != websocket.StatusInternalError || !strings.Contains(shown, "cannot enter its working directory") {
		t.Errorf("the shell ended with %d %q, after\n%s", code, reason, shown)
	}
}

// TestSilentClientsAreLeft has clients that neither read nor answer.
func TestSilentClientsAreLeft(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ line, want string }{
		"quiet shell": {"sleep 600", "the client does not answer"},
		"loud shell":  {"yes", "the client left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{}, on)
			ask := f.askOnDemand(10 * time.Second)
			c := visit(t, f.open(t, t.Context()))
			pid := c.starts(t, `sh -c 'X; exec sleep 600' &`)
			c.types(t, row.line)
			if row.line != "yes" {
				ask <- time.Now()
			}
			dies(t, pid) // nobody reads any more
			f.finish(t)
			if !strings.Contains(f.text(t), ": "+row.want+"\n") {
				t.Errorf("the log is\n%s", f.text(t))
			}
		})
	}
}

// TestBusyShellIsWaitedFor types more than a busy shell takes, so that the
// answer of the client waits behind it.
func TestBusyShellIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{}, on)
	ask := f.askOnDemand(20 * time.Second)
	c := visit(t, f.open(t, t.Context()))
	c.types(t, `stty raw -echo; echo bu""sy; while [ ! -e go ]; do sleep 0.1; done; head -c 300000 | wc -c; stty sane; exit 4`)
	c.sees(t, `busy`)
	c.send(t, "\x01"+strings.Repeat("x", 300000))
	ask <- time.Now()
	ask <- time.Now() // which is heard when the first has been without an answer
	if err := os.WriteFile(filepath.Join(f.run.Session.Dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if shown, code, reason := c.ends(t); code != websocket.StatusNormalClosure || reason != "the shell exited with 4" || !strings.Contains(shown, "300000") {
		t.Errorf("the shell ended with %d %q, after\n%s", code, reason, shown)
	}
}

// TestHold keeps a failed task until there is a reason not to.
func TestHold(t *testing.T) {
	t.Parallel()
	long := time.Hour
	for name, row := range map[string]struct {
		hold time.Duration
		then func(t *testing.T, f *fixture, socket string, abort context.CancelCauseFunc)
		want string
	}{
		"time": {50 * time.Millisecond, func(*testing.T, *fixture, string, context.CancelCauseFunc) {}, "the 50ms of holdOnFailure have passed"},
		"abort": {long, func(_ *testing.T, _ *fixture, _ string, abort context.CancelCauseFunc) {
			abort(task.Errorf(task.Canceled, "somebody canceled it"))
		}, "the task ends before the time of holdOnFailure: somebody canceled it"},
		"exit": {long, func(t *testing.T, _ *fixture, socket string, _ context.CancelCauseFunc) {
			one, other := visit(t, socket), visit(t, socket)
			for _, c := range []*client{one, other} {
				c.types(t, `echo rea""dy`)
				c.sees(t, `ready`)
			}
			one.types(t, "exit")
			one.ends(t)
			other.types(t, `ls; exit`)
			other.ends(t)
		}, "the last shell was exited"},
		"leave, then exit": {long, func(t *testing.T, f *fixture, socket string, _ context.CancelCauseFunc) {
			one := visit(t, socket)
			pid := one.starts(t, `sh -c 'X; exec sleep 600' &`)
			_ = one.CloseNow()
			dies(t, pid)
			if !becomes(patient, func() bool { return strings.Count(f.text(t), " closed after ") == 2 }) {
				t.Errorf("the log is\n%s", f.text(t))
			}
			other := visit(t, socket)
			other.types(t, `echo sti""ll`)
			other.sees(t, `still`)
			if strings.Contains(f.text(t), "the task ends now") {
				t.Error("it is not held any more")
			}
			other.types(t, "exit")
			other.ends(t)
		}, "the last shell was exited"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{}, payload.Interactive{On: true, HoldOnFailure: row.hold})
			ctx, abort := context.WithCancelCause(t.Context())
			defer abort(nil)
			socket := f.open(t, ctx)
			early := visit(t, socket) // whose end before the hold is no end of it
			early.types(t, "exit")
			early.ends(t)
			held := make(chan error, 1)
			go func() { held <- f.hooks.Hold(ctx) }()
			const notice = "a command failed: the task directory and its shell stay until 20"
			if !becomes(patient, func() bool { return strings.Contains(f.text(t), notice) }) {
				t.Fatalf("the log is\n%s", f.text(t))
			}
			row.then(t, f, socket, abort)
			select {
			case err := <-held:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patient):
				t.Fatal("it is still held")
			}
			if !strings.Contains(f.text(t), row.want) {
				t.Errorf("the log is\n%s", f.text(t))
			}
			f.finish(t)
		})
	}
}
