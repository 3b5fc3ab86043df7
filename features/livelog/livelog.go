package livelog

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
)

const (
	contentType = "text/plain; charset=utf-8"
	// afterRun is how much longer than its commands a live log may be wanted.
	afterRun = 15 * time.Minute
	// patience is how long a sealed run waits for the queue to have answered
	// about its live log, which should have been there minutes ago.
	patience = 10 * time.Second
)

// Config is what the operator decides.
type Config struct {
	// Enabled offers live logs. Without it tasks run as if they had not asked.
	Enabled bool
	// PublicIP is the host in the URLs of live logs. With it the worker
	// listens on all interfaces, without it on the loopback interface only.
	PublicIP string
	// ExposePort is the port to listen on; 0 is any free one.
	ExposePort int
}

// Feature is liveLog, and the server of all live logs of a worker. Use New.
type Feature struct {
	config  Config
	server  *server
	streams *streams
}

// New returns the feature. Until Start, runs have a live log that nobody can
// reach. log speaks to the operator.
func New(config Config, log *slog.Logger) *Feature {
	f := &Feature{config: config, streams: newStreams()}
	f.server = newServer(config, f.Handler(), log)
	return f
}

// Name returns "liveLog".
func (f *Feature) Name() string { return "liveLog" }

// Start opens the listener. One that cannot be opened is reported and tried
// again every 30 seconds; live logs that wait for it are published then. It
// does nothing if live logs are not enabled.
func (f *Feature) Start(ctx context.Context) {
	if f.config.Enabled {
		f.server.start(ctx)
	}
}

// Close stops to listen and waits for the readers of complete logs to get
// them, but not longer than ctx.
func (f *Feature) Close(ctx context.Context) error { return f.server.close(ctx) }

// Attach reserves the name of the live log. A run whose payload could not be
// parsed has to have the default features and names, and gets a link to its
// log, too.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	if !f.config.Enabled || !run.Payload.Features.LiveLog {
		return features.Hooks{}, nil
	}
	l := &live{feature: f, run: run, name: run.Payload.Logs.Live}
	return features.Hooks{
		Reserves: []string{l.name},
		Prepare:  l.prepare,
		Seal:     l.seal,
		Close:    l.close,
	}, nil
}

// live is the live log of one run. Whatever goes wrong with it is the
// operator's to see and nothing to the task.
type live struct {
	feature *Feature
	run     *task.Run
	name    string
	stream  *stream // nil unless prepared

	stop context.CancelCauseFunc
	done chan struct{} // closed when the publishing goroutine ended
}

var (
	errEnded = errors.New("the run is over")
	errSlow  = errors.New("the queue took too long")
)

// prepare lets readers in and tells the queue where, beside the task's first
// commands. An abort does not end the live log; its readers want to see it.
func (l *live) prepare(ctx context.Context) error {
	token := rand.Text()
	l.stream = l.feature.streams.open(token, l.run.Log)
	ctx, l.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		defer func() {
			if cause := recover(); cause != nil {
				l.run.Operator.ErrorContext(ctx, "panic while publishing the live log", "panic", cause)
			}
		}()
		l.publish(ctx, token)
	}()
	return nil
}

func (l *live) publish(ctx context.Context, token string) {
	server := l.feature.server
	select {
	case <-server.ready:
	case <-ctx.Done():
		return
	}
	err := l.run.Artifacts.Reference(ctx, l.name, server.base+logPath+token, contentType, l.expires())
	if err != nil && !errors.Is(context.Cause(ctx), errEnded) {
		l.run.Operator.WarnContext(ctx, "cannot publish the live log; the task goes on without", "error", err)
	}
}

func (l *live) expires() time.Time {
	expires := time.Now().Add(l.run.Payload.MaxRunTime + afterRun)
	if whole := l.taskExpires(); !whole.IsZero() && whole.Before(expires) {
		return whole
	}
	return expires
}

func (l *live) taskExpires() time.Time { return time.Time(l.run.Definition.Expires) }

// seal replaces the reference by a link to the whole log, if there is one.
func (l *live) seal(ctx context.Context) error {
	if l.stream != nil {
		l.stream.complete.Store(true)
		l.settle(ctx)
	}
	if !l.run.Payload.Features.BackingLog {
		return nil
	}
	err := l.run.Artifacts.Link(ctx, l.name, l.run.Payload.Logs.Backing, contentType, l.taskExpires())
	if err != nil {
		l.run.Operator.WarnContext(ctx, "cannot link the live log to the complete one", "error", err)
	}
	return nil
}

// settle waits until the queue has answered about the reference: it must not
// overtake the link. A reference that waits for a listener is given up.
func (l *live) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSlow)
	defer cancel()
	select {
	case <-l.feature.server.ready:
		select {
		case <-l.done:
		case <-ctx.Done():
			l.stop(context.Cause(ctx))
		}
	default:
		l.stop(errEnded)
	}
	<-l.done
}

// close turns new readers away. Those that are there get the log to its end in
// their own time, for which nobody waits.
func (l *live) close(context.Context) error {
	if l.stream == nil {
		return nil
	}
	l.feature.streams.end(l.stream)
	l.stop(errEnded)
	<-l.done
	return nil
}
