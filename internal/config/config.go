package config

import (
	"path/filepath"

	"github.com/taskcluster/generic-worker/features/all"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/telemetry"
	"github.com/taskcluster/generic-worker/internal/worker"
)

// LocalRootURL is the rootURL that stands for the queue embedded in the worker.
const LocalRootURL = "local"

// Identity of a worker with the embedded queue, unless it is given.
const (
	LocalProvisionerID = "local"
	LocalWorkerType    = "generic-worker"
	LocalWorkerGroup   = "local"
	LocalWorkerID      = "local"
)

// Config is how a worker is set up. Printing it shows no secret.
type Config struct {
	Worker   worker.Config // its RootURL may be LocalRootURL
	Features all.Config

	Engine          string // "insecure", the only one of this build
	TasksDir        string // absolute path of the parent of all task directories
	CleanUpTaskDirs bool   // whether task directories are deleted

	Caches    cache.Dirs // absolute paths
	DiskSpace DiskSpace

	// Credentials may be zero with the embedded queue, which makes its own.
	Credentials           queue.Credentials
	LogSizeLimit          int64 // bytes of one task's log; 0 for no limit
	CreateObjectArtifacts bool  // object storage instead of S3
	LocalQueue            LocalQueue
	Telemetry             telemetry.Config // but for its Events

	// Ineffective are the settings, such as "sentryProject" and
	// "d2gConfig.enableD2G", that ask for something this build does not have.
	Ineffective []string
	// Warnings are sentences for the operator about how the configuration is kept.
	Warnings []string
}

// DiskSpace is how much room tasks need.
type DiskSpace struct {
	Required int64 // bytes that have to be free in TasksDir; 0 for no matter
	// Lenient says that caches are deleted to make room, but tasks are claimed all
	// the same. It is so with the embedded queue if nothing was set.
	Lenient bool
}

// LocalQueue is how the embedded queue is set up.
type LocalQueue struct {
	Listen  string // host:port; port 0 takes a free one
	DataDir string // absolute path
}

// Load reads the file at path and the environment, a list of NAME=value such as
// os.Environ returns. Without a path there is no file. What is wrong with the
// configuration is returned as *Error.
func Load(path string, environ []string) (*Config, error) {
	s, err := readSources(path, environ)
	if err != nil {
		return nil, err
	}
	set, err := s.decode()
	if err != nil {
		return nil, err
	}
	s.check(set)
	exposures := s.exposures(set)
	if err := s.verdict(set.Engine, exposures); err != nil {
		return nil, err
	}
	c := set.config()
	_, given := s.settings["requiredDiskSpaceMegabytes"]
	c.DiskSpace.Lenient = set.RootURL == LocalRootURL && !given
	c.Ineffective = s.root.ineffective(s.settings)
	c.Warnings = exposures.sentences()
	return c, nil
}

// Local returns the configuration of a worker with the embedded queue for which
// nothing was set.
func Local() *Config {
	c, err := Load("", []string{prefix + "ROOT_URL=" + LocalRootURL})
	if err != nil {
		panic("config: internal error: " + err.Error())
	}
	return c
}

// absolute makes a path independent of the working directory.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path // the working directory is gone: whoever opens the path says so
}
