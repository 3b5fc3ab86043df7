package keyrepo_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
)

// refused commits and tags the world, and reads it.
func (w *world) refused(want error) {
	w.t.Helper()
	w.commit()
	w.tag("next", 2, w.signer)
	if _, err := keyrepo.Read(w.t.Context(), w.source()); !errors.Is(err, want) {
		w.t.Errorf("got %v, want %v", err, want)
	}
}

func (w *world) link(target, name string) {
	w.t.Helper()
	if err := os.Symlink(target, filepath.Join(w.dir, filepath.FromSlash(name))); err != nil {
		w.t.Fatal(err)
	}
}

// TestC17Symlinks: a link in a repository leads nowhere.
func TestC17Symlinks(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*world){
		"a key":       func(w *world) { w.link("docker.pub", "docker-worker/2031/another.pub") },
		"a directory": func(w *world) { w.link("../docker-worker/2031", "generic-worker/2032") },
		"trusted": func(w *world) {
			w.git("rm", "-rq", "scriptworker/trusted")
			w.link("../docker-worker", "scriptworker/trusted")
		},
		"an implementation": func(w *world) {
			w.git("rm", "-rq", "generic-worker")
			w.link("docker-worker", "generic-worker")
		},
		"a repository in the repository": func(w *world) {
			w.git("update-index", "--add", "--cacheinfo", "160000,"+w.head()+",docker-worker/more")
			w.git("commit", "-qm", "submodule")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			make(w)
			if name == "a repository in the repository" {
				w.tag("next", 2, w.signer)
				_, err := keyrepo.Read(t.Context(), w.source())
				if !errors.Is(err, keyrepo.ErrExposed) {
					t.Error(err)
				}
				return
			}
			w.refused(keyrepo.ErrExposed)
			if _, err := keyrepo.ReadFiles(t.Context(), w.dir, nil); !errors.Is(err, keyrepo.ErrExposed) {
				t.Errorf("the work tree: %v", err)
			}
		})
	}
}

// TestC17EmptyRing fails, and does not pass.
func TestC17EmptyRing(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(*world)
		want   error
	}{
		"an empty file":          {func(w *world) { w.write("docker-worker/2031/docker.pub", "") }, gpg.ErrNoKey},
		"a file without a key":   {func(w *world) { w.write("docker-worker/2031/more.txt", "key") }, gpg.ErrNoKey},
		"nobody certifies":       {func(w *world) { w.git("rm", "-rq", "scriptworker/trusted") }, keyrepo.ErrEmpty},
		"no workers":             {func(w *world) { w.git("rm", "-rq", "scriptworker/valid") }, keyrepo.ErrEmpty},
		"no worker is certified": {func(w *world) { w.git("rm", "-q", "scriptworker/valid/host.pub") }, keyrepo.ErrEmpty},
		"nothing":                {func(w *world) { w.git("rm", "-rq", "scriptworker", "docker-worker", "generic-worker") }, keyrepo.ErrEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			row.change(w)
			w.refused(row.want)
		})
	}
	w := newWorld(t)
	w.git("rm", "-q", "docker-worker/2031/docker.pub")
	w.write("docker-worker/README.md", "no keys at present")
	w.commit()
	w.tag("next", 2, w.signer)
	if _, err := w.read().Keys("docker-worker"); !errors.Is(err, keyrepo.ErrUnknown) {
		t.Errorf("a directory without keys: %v", err)
	}
	if _, err := keyrepo.ReadKeys(filepath.Join(w.dir, "docker-worker")); !errors.Is(err, keyrepo.ErrEmpty) {
		t.Errorf("a folder without keys: %v", err)
	}
}

// TestC17DuplicateKeys: copies of a key are one key, as for gpg, but no key
// passes for another one.
func TestC17DuplicateKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("docker-worker/2032/copy.pub", w.docker)
	w.put("docker-worker/2032/copies.pub", w.docker, w.docker)
	w.commit()
	w.tag("production-1", 1, w.signer)
	keys, err := w.read().Keys("docker-worker")
	if err != nil || len(keys.OpenPGP.Keys()) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
	w.put("generic-worker/2031/docker.pub", w.docker)
	w.refused(keyrepo.ErrAmbiguous)
}

// TestC17ExpiredRing: keys that are expired, revoked or not valid yet do not
// count, and an implementation that has no others is refused.
func TestC17ExpiredRing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	expired := newKey(t, "expired", func(s *gpg.Spec) { s.Lifetime = 24 * time.Hour })
	early := newKey(t, "early", func(s *gpg.Spec) { s.Now = time.Now().Add(240 * time.Hour) })
	w.put("docker-worker/2031/expired.pub", expired)
	w.put("docker-worker/2031/early.pub", early)
	w.commit()
	w.tag("production-1", 1, w.signer)
	for _, v := range w.read().Verdicts(now) {
		want := map[string]error{expired.Fingerprint(): gpg.ErrExpired, early.Fingerprint(): gpg.ErrNotYetValid, w.other.Fingerprint(): gpg.ErrNotCertified}[v.Key.Fingerprint()]
		if !errors.Is(v.Err, want) {
			t.Errorf("%s: %v, want %v", v.Path, v.Err, want)
		}
	}
	w.git("rm", "-q", "docker-worker/2031/docker.pub")
	w.refused(keyrepo.ErrEmpty)
	s := w.source()
	s.At = start.Add(2 * time.Hour)
	s.Tag = "then"
	w.ref("then", w.object(w.text("then", w.head(), 0), w.signer))
	if _, err := keyrepo.Read(t.Context(), s); err == nil || !strings.Contains(err.Error(), "bad signature") {
		t.Errorf("a signature of later: %v", err)
	}
}

// TestC17Secrets: a private key in a repository is out.
func TestC17Secrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, err := w.docker.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	w.write("docker-worker/2031/docker.pub", string(secret))
	w.refused(keyrepo.ErrSecret)
}

// TestC17Large: there are bounds.
func TestC17Large(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"a file": func(w *world) { w.write("docker-worker/large", strings.Repeat("x", 2<<20)) },
		"files": func(w *world) {
			// Much faster than git add: all files are the same object.
			id := strings.TrimSpace(w.git("rev-parse", "HEAD:test/Dockerfile"))
			var lines strings.Builder
			for i := range 5001 {
				name := itoa(int64(i)) + ".md"
				lines.WriteString("100644 blob " + id + "\t" + name + "\n")
				w.write("docker-worker/"+name, "")
			}
			list := filepath.Join(t.TempDir(), "list")
			if err := os.WriteFile(list, []byte(lines.String()), 0o600); err != nil {
				w.t.Fatal(err)
			}
			tree := strings.TrimSpace(gitFrom(w, list, "mktree"))
			tree = strings.TrimSpace(gitFrom(w, writeLine(t, "040000 tree "+tree+"\tdocker-worker"), "mktree"))
			w.git("update-ref", "HEAD", strings.TrimSpace(w.git("commit-tree", "-m", "files", tree)))
		},
		"depth": func(w *world) { w.write("docker-worker/"+strings.Repeat("a/", 20)+"key", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			change(w)
			if name != "files" {
				w.commit()
			}
			w.tag("next", 2, w.signer)
			if _, err := keyrepo.Read(t.Context(), w.source()); !errors.Is(err, keyrepo.ErrTooLarge) {
				t.Error(err)
			}
			if _, err := keyrepo.ReadFiles(t.Context(), w.dir, nil); name != "depth" && !errors.Is(err, keyrepo.ErrTooLarge) {
				t.Errorf("the work tree: %v", err)
			}
		})
	}
}

func writeLine(t *testing.T, line string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "line")
	if err := os.WriteFile(name, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// gitFrom runs git with a file as its input.
func gitFrom(w *world, input string, args ...string) string {
	w.t.Helper()
	in, err := os.Open(input)
	if err != nil {
		w.t.Fatal(err)
	}
	defer in.Close()
	c := exec.CommandContext(w.t.Context(), "git", args...)
	c.Dir, c.Stdin = w.dir, in
	out, err := c.Output()
	if err != nil {
		w.t.Fatal(err)
	}
	return string(out)
}

// TestC7OtherTrust: the keys of one implementation are not those of another, and
// the key of somebody who certifies is not that of a worker.
func TestC7OtherTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	set := w.read()
	counts := map[string][]*gpg.Key{
		"docker-worker": {w.docker}, "generic-worker": {w.generic}, "scriptworker": {w.host, w.root},
	}
	for _, implementation := range set.Implementations() {
		keys, err := set.Keys(implementation)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []*gpg.Key{w.docker, w.generic, w.host, w.other, w.root, w.signer} {
			_, err := keys.Check(k, now)
			if want := slices.Contains(counts[implementation], k); want != (err == nil) {
				t.Errorf("%s: %s: %v", implementation, k, err)
			}
		}
	}
}
