package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
)

// Clients that every queue has, and the files with their credentials.
const (
	rootID     = "local/root"
	rootFile   = "credentials.json"
	workerID   = "local/worker"
	workerFile = "worker-credentials.json"
)

// workerScopes are what a worker needs beside the credentials of its claims.
var workerScopes = [...]string{
	"assume:worker-type:*",
	"purge-cache:purge-requests::*",
	"queue:claim-work:*",
	"queue:worker-id:*",
	"secrets:get:worker-pool:*",
	"secrets:get:worker-type:*",
}

// credentialsFile is what a file with credentials holds: the form in which
// Taskcluster clients take credentials.
type credentialsFile struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
}

// Credentials returns permanent credentials that may do everything, for
// people at this machine. They are also in the file credentials.json of the
// queue's directory, which only its owner can read.
func (q *Queue) Credentials() queue.Credentials { return q.permanent(rootID) }

// WorkerCredentials returns permanent credentials that may claim tasks from
// any task queue, as any worker, and what else a worker does in its own name.
func (q *Queue) WorkerCredentials() queue.Credentials { return q.permanent(workerID) }

func (q *Queue) permanent(id string) queue.Credentials {
	return queue.Credentials{ClientID: id, AccessToken: mask.Secret(q.clients[id].AccessToken)}
}

// loadClients reads the credentials files of a directory, making those that
// are missing.
func loadClients(dir string) (map[string]hawk.Client, error) {
	clients := map[string]hawk.Client{}
	for _, c := range []struct {
		file, id string
		scopes   []string
	}{
		{rootFile, rootID, []string{"*"}},
		{workerFile, workerID, workerScopes[:]},
	} {
		token, err := loadToken(filepath.Join(dir, c.file), c.id)
		if err != nil {
			return nil, err
		}
		clients[c.id] = hawk.Client{ID: c.id, AccessToken: token, Scopes: c.scopes}
	}
	return clients, nil
}

func loadToken(path, id string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createToken(path, id)
	}
	if err != nil {
		return "", fmt.Errorf("cannot read queue credentials: %w", err)
	}
	var c credentialsFile
	if err := json.Unmarshal(text, &c); err != nil || c.ClientID != id || len(c.AccessToken) < 22 {
		return "", fmt.Errorf("%s does not hold credentials of %s; delete it to have new ones made", path, id)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return "", fmt.Errorf("cannot keep queue credentials from other users: %w", err)
	}
	return c.AccessToken, nil
}

// createToken writes the file under another name first, so that a crash
// leaves no half of it.
func createToken(path, id string) (string, error) {
	c := credentialsFile{ClientID: id, AccessToken: newToken()}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", fmt.Errorf("cannot encode queue credentials: %w", err)
	}
	draft := path + ".new"
	if err := os.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot replace queue credentials: %w", err)
	}
	if err := writeSynced(draft, append(text, '\n')); err != nil {
		return "", fmt.Errorf("cannot write queue credentials: %w", err)
	}
	if err := os.Rename(draft, path); err != nil {
		return "", fmt.Errorf("cannot write queue credentials: %w", err)
	}
	return c.AccessToken, nil
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
