package chain_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/chaintest"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is a Source, Templates and Landed that does something at one of its
// steps: calls, and reads of an artifact.
type faulty struct {
	*chaintest.World
	at    int64
	steps atomic.Int64
	fault func() error
}

func (f *faulty) step() error {
	if f.steps.Add(1) == f.at {
		return f.fault()
	}
	return nil
}

func (f *faulty) Task(ctx context.Context, id string) (*chain.Task, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.World.Task(ctx, id)
}

func (f *faulty) Artifact(ctx context.Context, id string, run int, name string) (io.ReadCloser, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	r, err := f.World.Artifact(ctx, id, run, name)
	return &faultyReader{r, f}, err
}

func (f *faulty) Artifacts(ctx context.Context, id string, run int) ([]string, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.World.Artifacts(ctx, id, run)
}

func (f *faulty) Check(ctx context.Context, task chain.ParentTask) ([]chain.Difference, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.World.Check(ctx, task)
}

func (f *faulty) landed(context.Context, string, string) (bool, error) {
	err := f.step()
	return err == nil, err
}

type faultyReader struct {
	io.ReadCloser
	faulty *faulty
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if err := r.faulty.step(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

// TestC18 lets something go wrong at each step there is, one after the other.
func TestC18(t *testing.T) {
	t.Parallel()
	errCanceled := errors.New("the worker shuts down")
	for _, p := range profiles(scenario{}) {
		w := chaintest.New(t, p)
		if p == chain.Ed25519 {
			withAction(w)
			upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(chaintest.Build, "build", true, "public/build/*"))(w)
		}
		w.Policy.VCSRules[0].Landed = true
		w.Policy.Limits.Parallel = 1
		w.Publish()
		w.Sign()
		for name, fault := range map[string]func(cancel func(error)) func() error{
			"error":    func(func(error)) func() error { return func() error { return errors.New("connection reset") } },
			"panic":    func(func(error)) func() error { return func() error { panic("out of range") } },
			"canceled": func(cancel func(error)) func() error { return func() error { cancel(errCanceled); return nil } },
		} {
			for _, compat := range []bool{false, true} {
				if compat && name != "panic" {
					continue // compat differs in rules, where nothing but a panic comes from
				}
				t.Run(fmt.Sprintf("%s %s compat %t", p, name, compat), func(t *testing.T) {
					t.Parallel()
					policy := *w.Policy
					policy.Compat = compat
					dir, steps := t.TempDir(), int64(1)
					for at := int64(0); at <= steps; at++ {
						ctx, cancel := context.WithCancelCause(t.Context())
						f := &faulty{World: w, at: at, fault: fault(cancel)}
						r := chain.Verify(ctx, chain.Request{
							TaskID: chaintest.Signing, TaskType: "signing", Policy: &policy, Source: f, Templates: f, Landed: f.landed, Dir: dir,
						})
						cancel(nil)
						if at == 0 {
							steps = f.steps.Load()
						}
						want := report.Undecided
						if at == 0 {
							want = report.Verified
						}
						if r.Verdict != want {
							t.Errorf("step %d of %d: %s\n%s", at, steps, r.Verdict, r)
						}
					}
					if steps < 15 {
						t.Errorf("there were %d steps only", steps)
					}
				})
			}
		}
	}
}

// lister has so many artifacts, with such names, that matching them takes
// minutes; when it was asked for them, nobody wants to know any more.
type lister struct {
	*world
	cancel func()
}

func (l lister) Artifacts(context.Context, string, int) ([]string, error) {
	l.cancel()
	return slices.Repeat([]string{strings.Repeat("a", 1000)}, 5000), nil
}

func TestPatternsEndWithTheContext(t *testing.T) {
	t.Parallel()
	w := chaintest.New(t, chain.Ed25519)
	upstream(want(chaintest.Build, "build", true, strings.Repeat("*a", 500)+"b"))(w)
	w.Publish()
	w.Sign()
	ctx, cancel := context.WithCancel(t.Context())
	request := w.Request(t.TempDir())
	request.Source = lister{w, cancel}
	began := time.Now()
	if r := chain.Verify(ctx, request); r.Verdict != report.Undecided {
		t.Error(r)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestFaultsOutside has what is wrong before anything is asked for.
func TestFaultsOutside(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*chain.Request){
		"no policy":            func(r *chain.Request) { r.Policy = nil },
		"no profile":           func(r *chain.Request) { r.Policy = &chain.Policy{} },
		"no source":            func(r *chain.Request) { r.Source = nil },
		"no templates":         func(r *chain.Request) { r.Templates = nil },
		"no directory":         func(r *chain.Request) { r.Dir = filepath.Join(r.Dir, "absent") },
		"a file as directory":  func(r *chain.Request) { r.Dir = filepath.Join(r.Dir, "file"); _ = os.WriteFile(r.Dir, nil, 0o600) },
		"nobody knows landing": func(r *chain.Request) { r.Policy.VCSRules[0].Landed = true },
		"a run that is not over": func(r *chain.Request) {
			runs := r.Source.(*world).Tasks[chaintest.Build].Runs
			runs[0] = chain.Run{State: "completed", Started: runs[0].Started}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := play(t, scenario{request: change}, chain.Ed25519, false)
			if r.Verdict != report.Undecided {
				t.Errorf("%s\n%s", r.Verdict, r)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := chaintest.New(t, chain.Ed25519)
	if r := chain.Verify(ctx, w.Request(t.TempDir())); r.Verdict != report.Undecided {
		t.Errorf("canceled before: %s", r)
	}
}
