// Package trust has the keys of a worker, those that sign certificates and those
// that decrypt variables, and shows the certificate of a task that a person ran.
package trust

import (
	"log/slog"
	"time"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/build"
	"github.com/taskcluster/generic-worker/internal/config"
)

// ReadKeys completes the settings of the chain of trust with the keys, and with
// what they are worth here. Its errors carry the exit code.
func ReadKeys(cfg *config.Config, log *slog.Logger) (chainoftrust.Config, error) {
	c := cfg.Features.ChainOfTrust
	c.Version = build.Read().Version
	c.Engine, c.WorkerGroup, c.WorkerID = cfg.Engine, cfg.Worker.Identity.WorkerGroup, cfg.Worker.Identity.WorkerID
	c.Readable = !c.ThrowAway // a task can read what the worker can: it is the same user
	if err := c.Check(); err != nil {
		return c, exit.Errorf(exit.NoKey, "%w", err)
	}
	if err := c.ReadKeys(); err != nil {
		return c, exit.Errorf(exit.NoKey, "%w", err)
	}
	if !c.ThrowAway {
		announce(c, log)
	}
	return c, nil
}

// announce tells the operator which keys sign, and what that is worth.
func announce(c chainoftrust.Config, log *slog.Logger) {
	if c.Keys.Ed25519 != nil {
		log.Info("certificates are signed with an ed25519 key", "keyId", cot.KeyID(c.Keys.Ed25519.Public()))
	}
	if key := c.Keys.OpenPGP; key != nil {
		log.Info("certificates are signed with an OpenPGP key", "fingerprint", key.Fingerprint(), "expires", expiry(key.Expires()))
	}
	switch {
	case !c.Readable || c.Keys.Ed25519 == nil && c.Keys.OpenPGP == nil:
	case c.AllowReadable:
		log.Warn("CERTIFICATES PROVE NOTHING TO THOSE WHO DO NOT TRUST THE TASKS: tasks run as the worker's own user and can read the keys that sign, " +
			"and chainOfTrustKeysReadableByTasks allows it; each certificate says so")
	default:
		log.Warn("tasks that ask for chainOfTrust are refused", "reason", chainoftrust.ErrReadable)
	}
}

// ReadEncryptionKeys reads the keys for encrypted variables, if there are to be
// any: without a path it returns nil. Its errors carry the exit code.
func ReadEncryptionKeys(path string, log *slog.Logger) (*gpg.Keyring, error) {
	if path == "" {
		return nil, nil
	}
	ring, err := encryptedenv.ReadKeys(path)
	if err != nil {
		return nil, exit.Errorf(exit.NoKey, "%w", err)
	}
	for _, key := range ring.Keys() {
		if err := key.ValidAt(time.Now()); err != nil {
			log.Warn("nobody can encrypt variables to a key any more; remove it when those that were encrypted have run out", "reason", err)
			continue
		}
		log.Info("variables can be encrypted to a key", "fingerprint", key.Fingerprint(), "expires", expiry(key.Expires()))
	}
	return ring, nil
}

func expiry(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

// ThrowAwayKeys makes keys for one task, which are never in a file.
func ThrowAwayKeys() (chainoftrust.Config, error) {
	c := chainoftrust.Config{ThrowAway: true}
	var err error
	if c.Keys.Ed25519, err = cot.GenerateEd25519(); err != nil {
		return c, err
	}
	c.Keys.OpenPGP, err = gpg.Generate(gpg.Spec{Name: "throw-away key of task run", Algorithm: gpg.Curve25519})
	return c, err
}
