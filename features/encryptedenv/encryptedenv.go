package encryptedenv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/task"
)

// Limits of what a task can ask for.
const (
	maxItems   = 100
	maxText    = 128 << 10 // characters of an item, blanks included
	maxMessage = 64 << 10  // bytes of an OpenPGP message
	maxPlain   = 256 << 10 // bytes of what is in it
)

// Config is what the operator decides, and what the worker finds at its start.
type Config struct {
	KeyLocation string // file with the worker's keys, for ReadKeys; empty for none
	// Keys decrypt the variables; nil refuses every task that has some.
	Keys *gpg.Keyring `json:"-"`
	// Now is the clock by which variables are valid; nil is this machine's.
	Now func() time.Time `json:"-"`
}

// Feature is the encrypted environment.
type Feature struct {
	config Config
	// key is equal for two names of the same variable.
	key func(name string) string
	// step is what the time of a refusal is a multiple of.
	step time.Duration
}

// New returns the feature.
func New(config Config) *Feature {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Feature{config: config, key: variableKey, step: 250 * time.Millisecond}
}

// Name returns "encryptedEnv".
func (f *Feature) Name() string { return "encryptedEnv" }

// Attach refuses items if there is no key to decrypt them with.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	items := run.Payload.EncryptedEnv
	switch {
	case len(items) == 0:
		return features.Hooks{}, nil
	case f.config.Keys == nil:
		return features.Hooks{}, task.Errorf(task.MalformedPayload, "encryptedEnv[0]: cannot be decrypted, because pool %s/%s has no key for encrypted variables; "+
			"remove encryptedEnv, send the task to a pool that has one, or ask the owner of this one", run.Definition.ProvisionerID, run.Definition.WorkerType)
	case len(items) > maxItems:
		return features.Hooks{}, task.Errorf(task.MalformedPayload, "encryptedEnv[%d]: is one more than the %d variables that a task may have; "+
			"put several values into one variable", maxItems, maxItems)
	}
	return features.Hooks{Prepare: func(ctx context.Context) error { return f.prepare(ctx, run) }}, nil
}

// prepare gives the task its variables: all of them, or none and an error that
// has a line for each item that is refused.
func (f *Feature) prepare(ctx context.Context, run *task.Run) error {
	begun := time.Now()
	rules := newRules(run, f.config.Now(), f.key)
	var opened []Message
	var refused []error
	for i, item := range run.Payload.EncryptedEnv {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, err := f.open(item)
		if err == nil {
			err = rules.check(i, m)
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("encryptedEnv[%d]: %w", i, err))
		}
		opened = append(opened, m)
	}
	if len(refused) > 0 {
		return task.First(f.even(ctx, begun), task.Errorf(task.MalformedPayload, "%w", errors.Join(refused...)))
	}
	for _, m := range opened {
		run.SetSecret(m.Name, string(m.Value))
	}
	return nil
}

// open decrypts and reads one item.
func (f *Feature) open(item string) (Message, error) {
	message, err := decode(item)
	if err != nil {
		return Message{}, err
	}
	plain, err := f.config.Keys.Decrypt(message, maxPlain)
	if err != nil {
		return Message{}, f.explain(err)
	}
	return parse(plain)
}

// explain says what is wrong with a message: what everyone sees who looks at
// it, and what is wrong with its content once all of it has been authenticated.
// Everything between these two has one text. If it told at which step
// decrypting failed, altered messages would be questions about their content.
func (f *Feature) explain(err error) error {
	switch {
	case errors.Is(err, gpg.ErrWrongKey):
		return fmt.Errorf("is not encrypted to the key of this pool; encrypt the variable anew to the public key with fingerprint %s", f.fingerprints())
	case errors.Is(err, gpg.ErrArmored):
		return errors.New("is a message in ASCII armor; encrypt the variable without (gpg: no --armor) and encode the binary message in base64")
	case errors.Is(err, gpg.ErrNotProtected):
		return errors.New("is a message that is not integrity-protected; encrypt the variable without options for old programs (gpg: no --rfc2440, no --disable-mdc)")
	case errors.Is(err, gpg.ErrNotEncrypted):
		return errors.New("is a message that is not encrypted to a public key; encrypt the variable, and change its value: everyone could read it")
	case errors.Is(err, gpg.ErrTrailing):
		return errors.New("is a message with trailing data, or more than one; encode one message alone")
	case errors.Is(err, gpg.ErrTooLarge):
		return fmt.Errorf("is a message that is too large: it may have %d KiB in it, and not be nested; put what is large into a file", maxPlain>>10)
	}
	return errors.New("cannot be decrypted: the message was altered or cut, or is none; encrypt the variable anew, and copy all of the result")
}

func (f *Feature) fingerprints() string {
	var all []string
	for _, key := range f.config.Keys.Keys() {
		all = append(all, key.Fingerprint())
	}
	return strings.Join(all, " or ")
}

// even makes the time that a refusal took tell nothing about where decrypting
// failed.
func (f *Feature) even(ctx context.Context, begun time.Time) error {
	timer := time.NewTimer(f.step - time.Since(begun)%f.step)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
