package keyrepo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// version makes a set as if it had been read from a repository.
func version(t *testing.T, number int) *Set {
	t.Helper()
	made := time.Now().Add(-time.Hour)
	generate := func(name string) *gpg.Key {
		k, err := gpg.Generate(gpg.Spec{Name: name, Algorithm: gpg.Curve25519, Now: made})
		if err != nil {
			t.Fatal(err)
		}
		return public(t, k)
	}
	flat, root, host := generate("flat"), generate("root"), generate("host")
	return &Set{
		Release: Release{
			Tag: "v" + string(rune('0'+number)), Commit: strings.Repeat(string(rune('0'+number)), 40), Signer: flat.Fingerprint(),
			Tagged: made.Add(time.Duration(number) * time.Second).UTC().Truncate(time.Second),
		},
		groups: []group{
			{Directory: Directory{Implementation: "docker-worker"}, entries: []entry{{path: "a", key: flat}, {path: "b", key: flat}}},
			{Directory: Directory{Implementation: "scriptworker", Signed: true}, entries: []entry{{path: "r", trusted: true, key: root}, {path: "h", key: host}}},
		},
	}
}

func public(t *testing.T, k *gpg.Key) *gpg.Key {
	t.Helper()
	text, err := k.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := gpg.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring.Keys()[0]
}

func (s Store) expect(t *testing.T, want *Set) {
	t.Helper()
	got, err := s.Current(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	if !got.same(want) {
		t.Errorf("got %v %v, want %v %v", got.Release, got.content(), want.Release, want.content())
	}
}

func (s Store) updated(t *testing.T, set *Set, force, change bool) {
	t.Helper()
	if changed, err := s.Update(t.Context(), set, force); err != nil || changed != change {
		t.Errorf("changed %v, %v", changed, err)
	}
	s.expect(t, set)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := Store{Dir: filepath.Join(t.TempDir(), "state", "keys")}
	if _, err := s.Current(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	one, two, three := version(t, 1), version(t, 2), version(t, 3)
	s.updated(t, one, false, true)
	s.updated(t, one, false, false)
	s.updated(t, two, false, true)
	s.updated(t, three, false, true)
	if _, err := s.Update(t.Context(), two, false); !errors.Is(err, ErrRollback) {
		t.Errorf("%v", err)
	}
	s.expect(t, three)
	s.updated(t, two, true, true)
	s.updated(t, three, false, true)
	if got := names(t, s.Dir); len(got) != 4 { // two versions, current, lock
		t.Errorf("%v", got)
	}
	same := *three
	same.Release.Commit = strings.Repeat("9", 40)
	if _, err := s.Update(t.Context(), &same, false); !errors.Is(err, ErrRollback) {
		t.Errorf("another commit of the same second: %v", err)
	}
	fewer := *three
	fewer.groups = three.groups[:1]
	s.updated(t, &fewer, false, true)
	if _, err := s.Update(t.Context(), &Set{groups: one.groups}, true); err == nil {
		t.Error("files that nobody signed became current")
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

// TestDamagedStore: nothing is believed that is not whole.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(version string) error{
		"a key":    func(v string) error { return os.Truncate(first(filepath.Join(v, "docker-worker", "*")), 100) },
		"no keys":  func(v string) error { return os.RemoveAll(filepath.Join(v, "scriptworker", "trusted")) },
		"manifest": func(v string) error { return os.Truncate(filepath.Join(v, manifestName), 10) },
		"pointer":  func(v string) error { return os.Truncate(filepath.Join(filepath.Dir(v), currentName), 20) },
		"a way out": func(v string) error {
			elsewhere := filepath.Join(filepath.Dir(filepath.Dir(v)), "elsewhere")
			return errors.Join(os.Rename(v, elsewhere), os.WriteFile(filepath.Join(filepath.Dir(v), currentName), []byte("../elsewhere\n"), 0o600))
		},
		"everything": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Store{Dir: t.TempDir()}
			one := version(t, 1)
			s.updated(t, one, false, true)
			if err := damage(first(filepath.Join(s.Dir, "2*"))); err != nil {
				t.Fatal(err)
			}
			if set, err := s.Current(t.Context()); err == nil {
				t.Errorf("%v", set.content())
			}
			if _, err := s.Update(t.Context(), version(t, 2), false); err == nil {
				t.Error("what cannot be read cannot be known to be older")
			}
			s.updated(t, one, true, true)
		})
	}
}

func first(pattern string) string {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return pattern
	}
	return found[0]
}

// steps are those of an update, in order.
var steps = []string{"write", "manifest", "rename", "point", "switch", "prune"}

// TestCutOff: wherever an update ends, there is the old version or the new one,
// and the next update works.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := Store{Dir: t.TempDir()}
			one, two, three := version(t, 1), version(t, 2), version(t, 3)
			s.updated(t, one, false, true)
			stopped := errors.New("stopped")
			cut := s
			cut.before = func(at string) error {
				if at == step {
					return stopped
				}
				return nil
			}
			if _, err := cut.Update(t.Context(), two, false); !errors.Is(err, stopped) {
				t.Errorf("%v", err)
			}
			if step == "prune" {
				s.expect(t, two)
			} else {
				s.expect(t, one)
			}
			s.updated(t, three, false, true)
			for _, name := range names(t, s.Dir) {
				if strings.HasPrefix(name, unfinished) {
					t.Errorf("%s is left", name)
				}
			}
			if got := names(t, s.Dir); len(got) != 4 {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestKilled is TestCutOff with a process that is killed, and holds the lock
// until then.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := Store{Dir: t.TempDir()}
			one := version(t, 1)
			s.updated(t, one, false, true)
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUpdatesUntilKilled$")
			c.Env = append(os.Environ(), "KEYREPO_STORE="+s.Dir, "KEYREPO_STEP="+step)
			text, err := c.CombinedOutput()
			if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.Exited() {
				t.Fatalf("%v\n%s", err, text)
			}
			held, err := os.ReadFile(filepath.Join(s.Dir, lockName))
			if err != nil || !strings.HasPrefix(string(held), "process ") {
				t.Errorf("the lock says %q, %v", held, err)
			}
			got, err := s.Current(t.Context())
			if err != nil || (got.Release.Tag == "v2") != (step == "prune") {
				t.Errorf("%v, %v", got, err)
			}
			s.updated(t, version(t, 3), false, true)
		})
	}
}

// TestUpdatesUntilKilled is the process of TestKilled.
func TestUpdatesUntilKilled(t *testing.T) {
	dir := os.Getenv("KEYREPO_STORE")
	if dir == "" {
		return // there is nothing to do without TestKilled
	}
	s := Store{Dir: dir, before: func(step string) error {
		if step != os.Getenv("KEYREPO_STEP") {
			return nil
		}
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		if err := self.Kill(); err != nil {
			return err
		}
		select {}
	}}
	_, err := s.Update(t.Context(), version(t, 2), false)
	t.Fatalf("not killed: %v", err)
}

// TestOneAtATime: who comes second is told who is first.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	s := Store{Dir: t.TempDir()}
	one, two := version(t, 1), version(t, 2)
	s.before = func(step string) error {
		if step == "switch" {
			_, err := Store{Dir: s.Dir}.Update(context.Background(), two, false)
			if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "process ") {
				t.Errorf("%v", err)
			}
		}
		return nil
	}
	s.updated(t, one, false, true)
	s.before = nil
	s.updated(t, two, false, true)
}

// TestReadersDuringUpdates always have one whole version.
func TestReadersDuringUpdates(t *testing.T) {
	t.Parallel()
	s := Store{Dir: t.TempDir()}
	versions := []*Set{version(t, 1), version(t, 2), version(t, 3), version(t, 4), version(t, 5), version(t, 6)}
	s.updated(t, versions[0], false, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, v := range versions[1:] {
			if _, err := s.Update(context.Background(), v, false); err != nil {
				t.Error(err)
			}
		}
	}()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		got, err := s.Current(t.Context())
		if err != nil || !slices.ContainsFunc(versions, got.same) {
			t.Fatalf("%v, %v", got, err)
		}
	}
	s.expect(t, versions[5])
}
