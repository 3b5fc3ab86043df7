// Package site puts a worker together with its queue, its engine, its features
// and its listeners.
package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/trust"
	"github.com/taskcluster/generic-worker/features/all"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker"
	"github.com/taskcluster/generic-worker/platform"
)

// Site is a worker wired to its queue, its engine and its listeners.
type Site struct {
	RootURL string
	People  *queue.Client // may do everything; nil unless the queue is embedded
	Worker  *worker.Worker
	// EndPolls makes claims that wait for a task return; it does nothing
	// unless the queue is embedded.
	EndPolls func()

	closers []func() error // in order of opening
	log     *slog.Logger
}

// Open wires a worker as the configuration says; credentials are asked for
// whenever a request is signed, unless the queue is embedded and makes its own.
func Open(ctx context.Context, cfg *config.Config, credentials func() queue.Credentials, log *slog.Logger) (*Site, error) {
	s := &Site{log: log, RootURL: cfg.Worker.RootURL, EndPolls: func() {}}
	if err := s.open(ctx, cfg, credentials); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Site) open(ctx context.Context, cfg *config.Config, credentials func() queue.Credentials) error {
	if !cfg.Worker.SpareTasks {
		spareWorker(s.log)
	}
	if err := checkLimits(cfg.Worker.Limits, s.log); err != nil {
		return err
	}
	keys, err := trust.ReadEncryptionKeys(cfg.Features.EncryptedEnv.KeyLocation, s.log)
	if err != nil {
		return err
	}
	certificates := sync.OnceValues(func() (chainoftrust.Config, error) { return trust.ReadKeys(cfg, s.log) })
	go func() { _, _ = certificates() }() // takes as long as all else here
	// They are announced in the log, which a caller may be done with after this.
	defer func() { _, _ = certificates() }()
	store, err := s.openCaches(ctx, cfg)
	if err != nil {
		return err
	}
	if s.RootURL == config.LocalRootURL {
		own, err := s.openLocalQueue(cfg)
		if err != nil {
			return err
		}
		credentials = func() queue.Credentials { return own }
	}
	client := s.connect(credentials)
	engine, err := s.openEngine(ctx, cfg, credentials())
	if err != nil {
		return err
	}
	live := s.openLiveLog(ctx, cfg.Features.LiveLog)
	wanted := cfg.Features
	wanted.Artifacts.Absolute = true // a task could copy such a file anyway: it is the same user
	wanted.Metadata.RootURL = s.RootURL
	wanted.Proxy = wanted.Proxy.For(s.RootURL)
	wanted.EncryptedEnv.Now = func() time.Time { return time.Now().Add(client.ClockOffset()) }
	wanted.EncryptedEnv.Keys = keys
	if wanted.ChainOfTrust, err = certificates(); err != nil {
		return err
	}
	wanted.Mounts = s.mounts(cfg, client, store)
	settings := cfg.Worker
	settings.RootURL = s.RootURL
	s.Worker = &worker.Worker{
		Config:   settings,
		Queue:    client,
		Engine:   engine,
		Features: all.List(wanted, live, s.openShells(ctx, cfg.Features.Interactive)),
		Runs: task.Opener{
			Dir:   filepath.Join(settings.StateDir, "runs"),
			Queue: client, HTTP: client.HTTP, Object: cfg.CreateObjectArtifacts, RootURL: s.RootURL, Lengths: &artifact.Lengths{},
			Operator: s.log, LogLimit: cfg.LogSizeLimit,
		},
		Room: s.watch(cfg, engine, store).Room,
		Log:  s.log,
	}
	return nil
}

// openLocalQueue starts the embedded queue, serves it, and returns the
// credentials of its worker.
func (s *Site) openLocalQueue(cfg *config.Config) (queue.Credentials, error) {
	q, err := local.Open(local.Options{Dir: cfg.LocalQueue.DataDir, Log: s.log})
	if err != nil {
		return queue.Credentials{}, err
	}
	s.closers = append(s.closers, q.Close)
	base, err := s.serve(cfg.LocalQueue.Listen, local.Handler(q))
	if err != nil {
		return queue.Credentials{}, fmt.Errorf("cannot serve the local queue; check localQueue.listen: %w", err)
	}
	s.RootURL = base
	owner := q.Credentials()
	s.People = s.connect(func() queue.Credentials { return owner })
	s.EndPolls = q.EndPolls
	return q.WorkerCredentials(), nil
}

// connect makes a client of the site's queue.
func (s *Site) connect(credentials func() queue.Credentials) *queue.Client {
	return &queue.Client{RootURL: s.RootURL, Credentials: credentials, HTTP: queue.NewHTTPClient(), Log: s.log}
}

// openEngine makes the engine and clears away what an earlier worker left.
func (s *Site) openEngine(ctx context.Context, cfg *config.Config, credentials queue.Credentials) (*platform.Insecure, error) {
	engine := &platform.Insecure{
		TasksDir: cfg.TasksDir, CleanUp: cfg.CleanUpTaskDirs, Log: s.log,
		Secrets: []string{string(credentials.AccessToken), string(credentials.Certificate)},
	}
	if err := engine.Start(ctx); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
		defer cancel()
		return engine.Close(ctx)
	})
	return engine, nil
}

// openLiveLog starts the server of all live logs.
func (s *Site) openLiveLog(ctx context.Context, cfg livelog.Config) *livelog.Feature {
	feature := livelog.New(cfg, s.log)
	feature.Start(ctx)
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), readersLimit)
		defer cancel()
		return feature.Close(ctx)
	})
	return feature
}

// openShells starts the server of all shells, if they are offered.
func (s *Site) openShells(ctx context.Context, cfg *interactive.Config) *interactive.Feature {
	if cfg == nil {
		return nil
	}
	wanted := *cfg
	wanted.RootURL = s.RootURL
	feature := interactive.New(wanted, s.log)
	feature.Start(ctx)
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), readersLimit)
		defer cancel()
		return feature.Close(ctx)
	})
	return feature
}

// readersLimit bounds how long a worker that stops waits for the readers of
// complete logs, and for clients of shells to hear that they have ended.
const readersLimit = 5 * time.Second

// serve serves a handler and returns the URL of the listener.
func (s *Site) serve(address string, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("a listener ended", "address", address, "error", err)
		}
	}()
	s.closers = append(s.closers, server.Close)
	return "http://" + listener.Addr().String(), nil
}

// cleanUpLimit bounds how long a worker that stops waits for deleted task
// directories to be gone; what is left is deleted at the next start.
const cleanUpLimit = 30 * time.Second

// Close undoes Open in reverse.
func (s *Site) Close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil {
			s.log.Warn("cannot close cleanly", "error", err)
		}
	}
	s.closers = nil
}
