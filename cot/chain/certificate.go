package chain

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
)

// Where workers put certificates.
const (
	nameClearSigned = "public/chainOfTrust.json.asc"
	nameCertificate = "public/chain-of-trust.json"
	nameSignature   = "public/chain-of-trust.json.sig"
)

// missing is the refusal of a link whose certificate is not there.
type missing struct{ error }

func (m missing) Unwrap() error { return m.error }

// certify fetches the certificate of a link and opens it.
func (v *verification) certify(ctx context.Context, l *link) {
	if !v.checked(l) {
		return
	}
	if err := l.fetched.Err(); err != nil {
		return
	}
	if l.run < 0 {
		l.certificate.Set(trust.Opened{}, missing{report.Refuse("the task has no run")})
		return
	}
	implementation, err := l.implementation.Get()
	if err != nil {
		l.certificate.Set(trust.Opened{}, errors.New("it is not known which keys to use, as the worker implementation is not"))
		return
	}
	if l.resolved().IsZero() {
		l.certificate.Set(trust.Opened{}, errors.New("the queue does not say when the run was resolved, so it cannot be told which keys were valid"))
		return
	}
	l.certificate.Set(v.open(ctx, l, v.policy.Keys[implementation]))
}

// open fetches the files of a certificate and verifies the signature.
func (v *verification) open(ctx context.Context, l *link, keys Keys) (trust.Opened, error) {
	run := trust.Signing{Started: l.task.Runs[l.run].Started, Resolved: l.resolved(), Pool: l.defined().Pool()}
	var opened trust.Opened
	if v.policy.Profile == GPG {
		file, err := v.small(ctx, l, nameClearSigned)
		if err == nil {
			opened, err = keys.OpenClearSigned(file, run)
		}
		return opened, err
	}
	body, err := v.small(ctx, l, nameCertificate)
	if err != nil {
		return opened, err
	}
	signature, err := v.small(ctx, l, nameSignature)
	if err != nil {
		return opened, err
	}
	return keys.OpenEd25519(body, signature, run)
}

// small reads an artifact that is held in memory.
func (v *verification) small(ctx context.Context, l *link, name string) ([]byte, error) {
	r, err := v.Source.Artifact(ctx, l.id, l.run, name)
	if errors.Is(err, ErrNotFound) {
		return nil, missing{report.Refuse("there is no %s in run %d: does the pool sign, and does the task ask for it with the feature chainOfTrust?", name, l.run)}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot get %s: %w", name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, cot.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot get %s: %w", name, err)
	}
	return data, nil // the reader of certificates refuses what is too long
}

// sworn returns the certificate of a link if it counts: it is signed, and
// that of this task, run and definition.
func (v *verification) sworn(l *link) (*cot.Certificate, error) {
	o, err := l.certificate.Get()
	if err != nil {
		return nil, notVerified(l)
	}
	checks := []func(*verification, *link, trust.Opened) error{certificateTaskID, certificateRun, certificateTask}
	switch {
	case v.policy.Compat && v.policy.Profile == GPG:
		checks = nil
	case v.policy.Compat:
		checks = checks[:1]
	}
	for _, check := range checks {
		if err := check(v, l, o); err != nil {
			return nil, notVerified(l)
		}
	}
	return o.Certificate, nil
}

// ofCertificate makes a rule about a certificate whose signature is right.
func ofCertificate(judge func(*verification, *link, trust.Opened) error) check {
	return func(_ context.Context, v *verification, l *link) error {
		o, err := l.certificate.Get()
		if err != nil {
			return notVerified(l)
		}
		return judge(v, l, o)
	}
}

func certificateTaskID(_ *verification, l *link, o trust.Opened) error { return o.OfTask(l.id) }

func certificateRun(_ *verification, l *link, o trust.Opened) error { return o.OfRun(l.run) }

func certificateTask(_ *verification, l *link, o trust.Opened) error {
	return o.OfDefinition(l.defined())
}

func notVerified(l *link) error { return fmt.Errorf("the certificate of %s is not verified", l.id) }
