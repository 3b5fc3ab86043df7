package taskclusterproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/proxy"
)

// Config is what the operator decides.
type Config struct {
	// Port is the port of the proxy; 0 is any free one.
	Port int
	// Tasks is how many tasks the worker has at once. With a Port, the proxy of
	// one has it, and those of others have the ports 4, 8, 12 … above it.
	Tasks int
	// RootURL is the deployment whose services are called.
	RootURL string
	// Version and Revision are the program's, for the headers of answers.
	Version, Revision string
}

// For returns a copy for a root URL; that of nil, which offers no proxy, is nil.
func (c *Config) For(rootURL string) *Config {
	if c == nil {
		return nil
	}
	copied := *c
	copied.RootURL = rootURL
	return &copied
}

// Feature is taskclusterProxy. Use New.
type Feature struct {
	config   Config
	unjudged sync.Once // the operator knows that callers cannot be judged here
	// judge returns nil if the far end of a connection is one of the task's
	// processes, and errors.ErrUnsupported if that cannot be told.
	judge func(run *task.Run, near, far netip.AddrPort) error
}

// New returns the feature.
func New(config Config) *Feature {
	return &Feature{config: config, judge: func(run *task.Run, near, far netip.AddrPort) error {
		return run.Session.Owns(near, far)
	}}
}

// Name returns "taskclusterProxy".
func (f *Feature) Name() string { return "taskclusterProxy" }

// Attach refuses an interface there is no network for.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	if !run.Payload.Features.TaskclusterProxy {
		return features.Hooks{}, nil
	}
	if name := run.Payload.TaskclusterProxyInterface; name != "" && name != "localhost" {
		return features.Hooks{}, task.Errorf(task.MalformedPayload,
			"taskclusterProxyInterface: is %q, but this worker runs no containers that could have a network; write \"localhost\" or leave it out", name)
	}
	s := &signing{feature: f, run: run}
	return features.Hooks{Prepare: s.prepare, Finish: s.finish, Close: s.close}, nil
}

// signing is the proxy of one run.
type signing struct {
	feature *Feature
	run     *task.Run
	server  *server // nil unless prepared
	over    atomic.Bool
}

// prepare opens the proxy and tells the task where.
func (s *signing) prepare(ctx context.Context) error {
	config, run := s.feature.config, s.run
	services, others := proxy.NewServices(config.RootURL), proxy.NewTransport(true)
	handler, err := proxy.New(proxy.Options{
		RootURL:     config.RootURL,
		Scopes:      s.scopes(),
		Credentials: s.credentials,
		Observe:     s.observe,
		Services:    services, Others: others,
		Version: config.Version, Revision: config.Revision,
		Log: run.Operator,
	})
	if err != nil {
		return err
	}
	s.server = newServer(handler, s.judge, run.Operator)
	s.server.atEnd = func() {
		services.CloseIdleConnections()
		others.CloseIdleConnections()
	}
	url, err := s.server.open(ctx, config.ports())
	if err != nil {
		run.Operator.ErrorContext(ctx, "cannot open the proxy of a task", "error", err)
		return task.Errorf(task.ResourceUnavailable, "the proxy of this task cannot be opened: %w", err)
	}
	run.Setenv("TASKCLUSTER_PROXY_URL", url)
	return nil
}

// scopes are all that the proxy signs for. The scope to create artifacts
// contains the task's own id, so the task cannot have it itself.
func (s *signing) scopes() []string {
	return append(append([]string{}, s.run.Definition.Scopes...),
		fmt.Sprintf("queue:create-artifact:%s/%d", s.run.TaskID, s.run.RunID))
}

// tolerable is the difference of clocks that signatures survive.
const tolerable = 30 * time.Second

// credentials are those of the newest claim.
func (s *signing) credentials() (proxy.Credentials, error) {
	if s.over.Load() {
		return proxy.Credentials{}, proxy.ErrOver
	}
	claim := s.run.Claim()
	c := proxy.Credentials{
		ClientID:    claim.Credentials.ClientID,
		AccessToken: claim.Credentials.AccessToken,
		Certificate: claim.Credentials.Certificate,
	}
	// Expires is TakenUntil by this machine's clock.
	if ahead := claim.TakenUntil.Sub(claim.Expires.Round(0)); ahead.Abs() > tolerable && !claim.Expires.IsZero() {
		c.Ahead = ahead
	}
	return c, nil
}

// observe keeps the values of a secret out of the log. Those that are too short
// for that are in every other log as well.
func (s *signing) observe(_ string, body []byte) { _ = s.run.Log.Mask(secretsIn(body)...) }

// judge lets processes of the task in, and everybody where nobody can be told
// from another.
func (s *signing) judge(near, far netip.AddrPort) error {
	err := s.feature.judge(s.run, near, far)
	if errors.Is(err, errors.ErrUnsupported) {
		s.feature.unjudged.Do(func() {
			s.run.Operator.Warn("every process of this machine can use the proxies of tasks: who calls cannot be told here", "error", err)
		})
		return nil
	}
	return err
}

// finish ends the proxy as soon as the task's commands have ended, before
// anything is published.
func (s *signing) finish(ctx context.Context, _ task.Resolution) error { return s.close(ctx) }

func (s *signing) close(ctx context.Context) error {
	s.over.Store(true)
	if s.server == nil {
		return nil
	}
	if err := s.server.close(); err != nil {
		s.run.Operator.WarnContext(ctx, "cannot end the proxy of a task cleanly", "error", err)
	}
	return nil
}
