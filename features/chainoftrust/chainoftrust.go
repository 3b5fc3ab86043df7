package chainoftrust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
)

// Config is what the operator decides, and what the worker finds at its start.
type Config struct {
	Ed25519Location string // file with the key for raw signatures, for ReadKeys; empty for none
	OpenPGPLocation string // file with the key for clear-signed certificates, for ReadKeys; empty for none
	Off             bool   // not offered: tasks that ask are malformed
	Always          bool   // for every task, whether it asks or not
	// AllowReadable signs although tasks can read the keys.
	AllowReadable bool
	Machine       Machine

	Version     string // of the worker
	WorkerGroup string
	WorkerID    string
	// Keys sign; without any, tasks that ask are malformed.
	Keys cot.Signer `json:"-"`
	// Engine is how tasks are kept apart, and Readable tells that they can
	// read what the worker can.
	Engine   string
	Readable bool
	// ThrowAway tells that nobody knows the keys: they are for this one task,
	// and were never in a file.
	ThrowAway bool
}

// Machine is where the worker runs, as far as its owner said; the empty strings
// are left out.
type Machine struct {
	PublicIP, PrivateIP, InstanceID, InstanceType, Region string
}

// ErrReadable says that signatures would prove nothing.
var ErrReadable = errors.New("tasks run as the worker's own user and could read the keys that sign certificates, so that a certificate would prove nothing; " +
	"use an engine that keeps tasks apart, or set chainOfTrustKeysReadableByTasks: true to sign all the same")

// Check tells whether the settings fit together, in a sentence for the operator.
func (c Config) Check() error {
	signs := c.Ed25519Location != "" || c.OpenPGPLocation != "" || c.ThrowAway
	switch {
	case c.Always && !signs:
		return errors.New("chainOfTrust is always, and there is no key to sign with; name one in ed25519SigningKeyLocation or openpgpSigningKeyLocation")
	case c.Always && c.Readable && !c.AllowReadable:
		return fmt.Errorf("chainOfTrust is always, and not possible here: %w", ErrReadable)
	}
	return nil
}

// Feature is chainOfTrust. Use New.
type Feature struct{ config Config }

// New returns the feature.
func New(config Config) *Feature { return &Feature{config: config} }

// Name returns "chainOfTrust".
func (f *Feature) Name() string { return "chainOfTrust" }

// Attach reserves the names of the certificate. A task that asks is malformed
// where there are no keys, where it could read them, and if no certificate can
// hold its definition.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	if !run.Payload.Features.ChainOfTrust && !f.config.Always {
		return features.Hooks{}, nil
	}
	pool := run.Definition.ProvisionerID + "/" + run.Definition.WorkerType
	switch {
	case f.config.Keys.Ed25519 == nil && f.config.Keys.OpenPGP == nil:
		return features.Hooks{}, task.Errorf(task.MalformedPayload, "features.chainOfTrust: pool %s has no key to sign certificates with; "+
			"remove it, send the task to a pool that has one, or ask the owner of this one", pool)
	case f.config.Readable && !f.config.AllowReadable:
		return features.Hooks{}, task.Errorf(task.MalformedPayload, "features.chainOfTrust: tasks of pool %s run as the worker's own user and could read the keys that sign, "+
			"so that a certificate would prove nothing; remove it, send the task to a pool that keeps tasks apart, or ask the owner of this one", pool)
	}
	c := &certificate{config: f.config, run: run, started: time.Now()}
	if err := f.config.Keys.Check(run.Claim().Task); err != nil {
		return features.Hooks{}, task.Errorf(task.MalformedPayload, "features.chainOfTrust: no certificate can hold the task's definition: %w; "+
			"change the definition, or remove chainOfTrust", err)
	}
	return features.Hooks{
		Reserves: []string{cot.LogName, cot.BodyName, cot.SignatureName, cot.ClearSignedName, cot.ProvenanceName},
		Prepare:  c.prepare,
		Finish:   c.finish,
		Seal:     c.seal,
	}, nil
}

// certificate is that of one run.
type certificate struct {
	config   Config
	run      *task.Run
	started  time.Time
	prepared bool
	said     []byte // by the task, checked; nil for nothing
}

// prepare marks that the commands may run: before that, a task has said nothing.
func (c *certificate) prepare(context.Context) error {
	c.prepared = true
	if c.config.Readable {
		c.run.Log.Warn("The keys that sign this task's certificate can be read by tasks: chainOfTrustKeysReadableByTasks is set. The certificate says so")
	}
	return nil
}

// finish takes what the task says, while its directory is there and its author
// can still be told what is wrong with it.
func (c *certificate) finish(_ context.Context, so task.Resolution) error {
	if !c.prepared || so == task.Canceled {
		return nil
	}
	said, err := readAdditionalData(c.run.Session.Root)
	if err == nil && said != nil {
		err = c.config.Keys.Check(said)
	}
	if err != nil {
		err = task.Errorf(task.Failed, "%s: %w; let the task write a JSON object of at most 64 KiB, or nothing", AdditionalData, err)
		c.run.Log.Error("%v", err)
		return err
	}
	c.said = said
	return nil
}
