package config

import (
	"log/slog"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// rereadAfter is how old credentials may be when they are used.
const rereadAfter = 30 * time.Second

// Rotate returns a function that gives the worker's credentials as the file at
// path, the environment and the files named there have them now, so that
// credentials can be replaced under a running worker. They are read at most
// every 30 seconds, and only when they are asked for. As long as the
// configuration cannot be used, the last credentials stay. The function may be
// called concurrently.
func Rotate(path string, environ []string, first queue.Credentials, log *slog.Logger) func() queue.Credentials {
	var mu sync.Mutex
	current, read, complaint := first, time.Now(), ""
	return func() queue.Credentials {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(read) < rereadAfter {
			return current
		}
		read = time.Now()
		c, err := Load(path, environ)
		if err != nil {
			if text := err.Error(); text != complaint {
				complaint = text
				log.Warn("cannot read the configuration again; the credentials stay as they were", "error", err)
			}
			return current
		}
		complaint = ""
		if c.Credentials != current {
			current = c.Credentials
			log.Info("the configuration has new credentials", "clientId", current.ClientID)
		}
		return current
	}
}
