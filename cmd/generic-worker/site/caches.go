package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/room"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/platform"
)

// openCaches takes what is kept between tasks.
func (s *Site) openCaches(ctx context.Context, cfg *config.Config) (*cache.Store, error) {
	store, err := cache.Open(ctx, cache.Options{
		Dirs: cfg.Caches, Capacity: cfg.Worker.Capacity, FreeBytes: platform.FreeBytes, Log: s.log,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open the caches: %w", err)
	}
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
		defer cancel()
		return store.Close(ctx)
	})
	return store, nil
}

// share is the part of the room that tasks need which directories of the worker
// itself need: logs and copies of what is uploaded.
const share = 10

// watch looks after the disks of all directories that the worker uses.
func (s *Site) watch(cfg *config.Config, engine *platform.Insecure, store *cache.Store) *room.Watch {
	need := cfg.DiskSpace.Required
	dirs := []room.Dir{
		{Name: "tasksDir", Path: cfg.TasksDir, Need: need},
		{Name: "cachesDir", Path: cfg.Caches.Caches, Need: need / share},
		{Name: "downloadsDir", Path: cfg.Caches.Downloads, Need: need / share},
		{Name: "stateDir", Path: cfg.Worker.StateDir, Need: need / share},
		{Name: "the directory for temporary files", Path: os.TempDir(), Need: need / share},
	}
	if cfg.Worker.RootURL == config.LocalRootURL {
		dirs = append(dirs, room.Dir{Name: "localQueue.dataDir", Path: cfg.LocalQueue.DataDir, Need: need / share})
	}
	return &room.Watch{
		Dirs: dirs, Lenient: cfg.DiskSpace.Lenient, FreeBytes: platform.FreeBytes, Settle: engine.Settle, Store: store, Log: s.log,
	}
}

// UserDir is where a person's worker, which lives as long as one task, keeps what is
// for the next one.
func UserDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "generic-worker")
}

// CachesOf are the caches that are kept in such a directory.
func CachesOf(dir string) cache.Dirs {
	return cache.Dirs{Caches: filepath.Join(dir, "caches"), Downloads: filepath.Join(dir, "downloads")}
}
