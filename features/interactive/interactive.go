package interactive

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
)

const (
	// Artifact leads to the page that opens a shell.
	Artifact    = "private/generic-worker/shell.html"
	contentType = "text/html; charset=utf-8"
	// afterRun is how much longer than its commands the link may be wanted.
	afterRun = 15 * time.Minute
	// linkLimit is how long the commands wait for the queue to take the link.
	linkLimit = 30 * time.Second
	// endLimit is how long the end of the task waits for shells to be dead.
	// Their processes are given up after less.
	endLimit = 45 * time.Second
)

// Config is what the operator decides.
type Config struct {
	// PublicIP is the host in the URLs of shells. With it the worker listens
	// on all interfaces, without it on the loopback interface only.
	PublicIP string
	// Port is the port to listen on; 0 is any free one.
	Port int
	// RootURL is the deployment's, whose page opens shells.
	RootURL string
}

// Feature is interactive, and the server of all shells of a worker. Use New.
type Feature struct {
	config Config
	server *server
}

// New returns the feature. Without Start no run has a shell. log speaks to the
// operator.
func New(config Config, log *slog.Logger) *Feature {
	return &Feature{config: config, server: newServer(config.RootURL, log)}
}

// Name returns "interactive".
func (f *Feature) Name() string { return "interactive" }

// Start opens the listener, at Port or, if that is taken, at any free port.
// Without a listener tasks run as if they had not asked, with a warning in
// their logs.
func (f *Feature) Start(ctx context.Context) { f.server.start(ctx, f.config) }

// Close stops to listen, after the last run has ended, and waits for the last
// words to clients, but not longer than ctx.
func (f *Feature) Close(ctx context.Context) error { return f.server.close(ctx) }

// Attach reserves the name of the link.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	wanted := run.Payload.Features.Interactive
	if !wanted.On {
		return features.Hooks{}, nil
	}
	s := &visits{feature: f, run: run, room: newRoom(run), hold: wanted.HoldOnFailure}
	hooks := features.Hooks{Reserves: []string{Artifact}, Prepare: s.prepare, Finish: s.finish, Close: s.close}
	if s.hold > 0 {
		hooks.Hold = s.keep
	}
	return hooks, nil
}

// visits are what one run does for its visitors. Whatever goes wrong with it is
// nothing to the task.
type visits struct {
	feature *Feature
	run     *task.Run
	room    *room
	hold    time.Duration
	secret  string       // empty unless shells can be opened
	over    func() error // why no shell is wanted any more
}

// prepare lets people in and tells the queue where.
func (s *visits) prepare(ctx context.Context) error {
	server := s.feature.server
	if server.base == "" {
		s.run.Log.Warn("[interactive] this task has no shell: the worker could not listen for one")
		return nil
	}
	secret := rand.Text()
	s.run.Log.Mask(secret)
	linking, cancel := context.WithTimeoutCause(ctx, linkLimit, errors.New("the queue took too long"))
	defer cancel()
	err := s.run.Artifacts.Reference(linking, Artifact, s.page(server.base+shellPath+secret), contentType, s.expires())
	if err != nil {
		s.run.Log.Warn("[interactive] this task has no shell: cannot publish the link to it: %v", err)
		return nil
	}
	s.secret = secret
	stop := context.AfterFunc(ctx, func() { s.room.end(context.Cause(ctx)) })
	s.over = func() error {
		if stop(); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errOver
	}
	server.open(secret, s.room)
	s.run.Log.Info("[interactive] while the task runs, open a shell with %s or through the artifact %s", s.command(), Artifact)
	return nil
}

// command is what opens a shell of this run.
func (s *visits) command() string {
	return "`generic-worker task shell " + s.run.TaskID + " --run " + strconv.Itoa(s.run.RunID) + "`"
}

// page is the address of the page that opens a shell at the socket.
func (s *visits) page(socket string) string {
	query := url.Values{}
	query.Set("v", "2")
	query.Set("socketUrl", socket)
	query.Set("taskId", s.run.TaskID)
	query.Set("runId", strconv.Itoa(s.run.RunID))
	return strings.TrimRight(s.feature.config.RootURL, "/") + "/shell/?" + query.Encode()
}

func (s *visits) expires() time.Time {
	expires := time.Now().Add(s.run.Payload.MaxRunTime + s.hold + afterRun)
	if whole := time.Time(s.run.Definition.Expires); !whole.IsZero() && whole.Before(expires) {
		return whole
	}
	return expires
}

// keep waits for people to look at what a failed command left.
func (s *visits) keep(ctx context.Context) error {
	if s.secret == "" {
		return nil
	}
	vacated := s.room.vacancy()
	until := time.Now().Add(s.hold).UTC().Format(time.RFC3339)
	s.run.Log.Info("[interactive] a command failed: the task directory and its shell stay until %s, as holdOnFailure asks for %v\n"+
		"[interactive] open a shell with %s; to end this earlier, exit the last shell that is open, or cancel the task", until, s.hold, s.command())
	timer := time.NewTimer(s.hold)
	defer timer.Stop()
	select {
	case <-vacated:
		s.run.Log.Info("[interactive] the last shell was exited: the task ends now")
	case <-timer.C:
		s.run.Log.Info("[interactive] the %v of holdOnFailure have passed: the task ends now", s.hold)
	case <-ctx.Done():
		s.run.Log.Info("[interactive] the task ends before the time of holdOnFailure: %v", context.Cause(ctx))
	}
	return nil
}

// finish ends all shells, before what they could change is published.
func (s *visits) finish(ctx context.Context, _ task.Resolution) error {
	if s.secret == "" {
		return nil
	}
	s.feature.server.forget(s.secret)
	s.room.end(s.over())
	// Also after a lost claim: the directory is taken away next.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), endLimit, errors.New("a shell does not end"))
	defer cancel()
	if err := s.room.wait(ctx); err != nil {
		s.run.Operator.ErrorContext(ctx, "cannot end the shells of the task", "error", err)
	}
	return nil
}

// close is for a run whose finish was not reached.
func (s *visits) close(ctx context.Context) error { return s.finish(ctx, task.Completed) }
