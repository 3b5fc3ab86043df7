package local

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// ReadCredentials returns what Queue.Credentials does, for another process of
// the same user: the queue of the directory may be open or not, but must have
// been open once.
func ReadCredentials(dir string) (queue.Credentials, error) {
	path := filepath.Join(dir, rootFile)
	if _, err := os.Stat(path); err != nil {
		return queue.Credentials{}, fmt.Errorf("cannot read queue credentials: %w", err)
	}
	token, err := loadToken(path, rootID)
	if err != nil {
		return queue.Credentials{}, err
	}
	return queue.Credentials{ClientID: rootID, AccessToken: mask.Secret(token)}, nil
}
