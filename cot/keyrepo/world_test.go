package keyrepo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// start is when the story of a world begins; now is when it is looked at.
var (
	start = time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second)
	now   = start.Add(29 * 24 * time.Hour)
)

// world is a key repository that a test makes, and the keys of its people.
type world struct {
	t                      *testing.T
	dir                    string
	signer                 *gpg.Key // of tags
	root                   *gpg.Key // certifies
	docker, generic, other *gpg.Key // workers; other is certified by nobody
	host                   *gpg.Key // certified by root
}

func newKey(t testing.TB, name string, change func(*gpg.Spec)) *gpg.Key {
	t.Helper()
	spec := gpg.Spec{Name: name, Email: name + "@example.com", Algorithm: gpg.Curve25519, Now: start}
	if change != nil {
		change(&spec)
	}
	k, err := gpg.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newWorld makes a repository with a flat and a signed directory, committed but
// not tagged.
func newWorld(t *testing.T) *world {
	t.Helper()
	tooltest.Need(t, "git")
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "keys")}
	for name, key := range map[string]**gpg.Key{"signer": &w.signer, "root": &w.root, "docker": &w.docker, "generic": &w.generic, "other": &w.other, "host": &w.host} {
		*key = newKey(t, name, nil)
	}
	var err error
	if w.host, err = w.root.Certify(w.host, start); err != nil {
		t.Fatal(err)
	}
	git(t, t.TempDir(), "init", "-q", "-b", "main", w.dir)
	w.put("docker-worker/2031/docker.pub", w.docker)
	w.put("generic-worker/2031/no-suffix", w.generic)
	w.write("generic-worker/2031/.in", "not a key")
	w.write("generic-worker/README.md", "not a key")
	w.put("scriptworker/trusted/root.pub", w.root)
	w.put("scriptworker/valid/host.pub", w.host)
	w.put("scriptworker/valid/other.pub", w.other)
	w.write("scriptworker/README.md", "not a key")
	w.write("test/Dockerfile", "not a key")
	w.commit()
	return w
}

// put writes keys into a file of the work tree.
func (w *world) put(name string, keys ...*gpg.Key) {
	w.t.Helper()
	var text strings.Builder
	for _, k := range keys {
		armored, err := k.ArmorPublic()
		if err != nil {
			w.t.Fatal(err)
		}
		text.Write(armored)
	}
	w.write(name, text.String())
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	return git(w.t, w.dir, append([]string{"-c", "user.name=somebody", "-c", "user.email=somebody@example.com"}, args...)...)
}

func (w *world) commit() {
	w.t.Helper()
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", "change")
}

func (w *world) head() string {
	w.t.Helper()
	return strings.TrimSpace(w.git("rev-parse", "HEAD"))
}

// tag makes a signed tag of the commit, some days after the start.
func (w *world) tag(name string, days int, by *gpg.Key) {
	w.t.Helper()
	w.ref(name, w.object(w.text(name, w.head(), days), by))
}

// text is the object of a tag, without a signature.
func (w *world) text(name, commit string, days int) string {
	at := start.Add(time.Duration(days) * 24 * time.Hour).Unix()
	return "object " + commit + "\ntype commit\ntag " + name + "\ntagger somebody <s@example.com> " + itoa(at) + " +0000\n\n" + name + "\n"
}

// object returns an object of a tag with a signature.
func (w *world) object(text string, by *gpg.Key) string {
	w.t.Helper()
	if by == nil {
		return text
	}
	signature, err := by.SignDetached([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return text + strings.TrimRight(string(signature), "\n") + "\n"
}

// ref lets a tag name an object, whatever that has.
func (w *world) ref(name, object string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "object")
	if err := os.WriteFile(file, []byte(object), 0o600); err != nil {
		w.t.Fatal(err)
	}
	id := strings.TrimSpace(w.git("hash-object", "-t", "tag", "-w", "--literally", file))
	path := filepath.Join(w.dir, ".git", "refs", "tags", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(id+"\n"), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) source() keyrepo.Source {
	return keyrepo.Source{Dir: w.dir, Signers: gpg.NewKeyring(w.signer)}
}

func (w *world) read() *keyrepo.Set {
	w.t.Helper()
	set, err := keyrepo.Read(w.t.Context(), w.source())
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}
