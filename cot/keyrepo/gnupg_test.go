package keyrepo_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// gnupg is the real gpg with a home of its own.
type gnupg struct {
	*tooltest.GnuPG
	t testing.TB
}

func newGnuPG(t testing.TB) *gnupg {
	t.Helper()
	return &gnupg{tooltest.NewGnuPG(t), t}
}

// at runs gpg some days after the start.
func (g *gnupg) at(days int, args ...string) {
	g.t.Helper()
	g.Now = start.Add(time.Duration(days)*24*time.Hour + time.Hour)
	g.Run(nil, args...)
}

// make has gpg make a key on the first day and returns its fingerprint.
func (g *gnupg) make(name, expires string) string {
	g.t.Helper()
	g.Now = start
	return g.Make("--quick-generate-key", name+" <"+name+"@example.com>", "ed25519", "default", expires)
}

func (g *gnupg) revoke(key string) {
	g.t.Helper()
	g.Now = start.Add(72 * time.Hour)
	out, report, status := g.Try([]byte("revkey\ny\n1\n\ny\nsave\n"), "--command-fd", "0", "--no-batch", "--edit-key", key)
	if status != 0 {
		g.t.Fatalf("gpg --edit-key: %s\n%s", out, report)
	}
}

func (g *gnupg) public(key string) string {
	g.t.Helper()
	return string(g.Run(nil, "--armor", "--export", key))
}

// population has gpg make the keys of a repository, with all that may happen to
// keys, and returns the files.
func population(g *gnupg) map[string]string {
	files := map[string]string{}
	flat := func(name string) string { return "docker-worker/2031/" + name }

	files[flat("good")] = g.public(g.make("good", "0"))
	files[flat("expired")] = g.public(g.make("expired", "2d"))
	revoked := g.make("revoked", "0")
	files[flat("copy-before-revocation")] = g.public(revoked)
	g.revoke(revoked)
	files[flat("revoked")] = g.public(revoked)
	extended := g.make("extended", "2d")
	files[flat("copy-before-extension")] = g.public(extended)
	g.at(1, "--quick-set-expire", extended, "1y")
	files[flat("extended")] = g.public(extended)
	files[flat("blanks")] = strings.ReplaceAll(g.public(g.make("blanks", "0")), "\n", " \t \n")
	files[flat("two-keys")] = g.public(g.make("first", "0")) + g.public(g.make("second", "2d"))

	people := map[string]string{}
	for name, expires := range map[string]string{"anna": "0", "bert": "0", "carl": "2d", "dora": "0", "emil": "0"} {
		people[name] = g.make(name, expires)
	}
	for by, names := range map[string][]string{
		"anna": {"good-host", "revoked-host", "expired-host", "unvouched-host", "copied-host"}, "bert": {"of-revoked"}, "carl": {"of-expired"}, "dora": {"of-stranger"}, "emil": {"of-emil"},
	} {
		for _, name := range names {
			expires := "0"
			if name == "expired-host" {
				expires = "2d"
			}
			host := g.make(name, expires)
			file := "scriptworker/valid/" + name
			if name == "copied-host" {
				files[file+"-before"] = g.public(host)
			}
			g.at(1, "-u", people[by], "--quick-sign-key", host)
			switch name {
			case "revoked-host":
				g.revoke(host)
			case "unvouched-host":
				g.at(2, "--quick-revoke-sig", host, people[by])
			}
			files[file] = g.public(host)
		}
	}
	files["scriptworker/valid/nobodys-host"] = g.public(g.make("nobodys-host", "0"))
	g.revoke(people["bert"])
	files["scriptworker/trusted/emil"] = g.public(people["emil"])
	g.revoke(people["emil"]) // of which only the other directory knows
	files["scriptworker/valid/emil"] = g.public(people["emil"])
	for _, name := range []string{"anna", "bert", "carl"} {
		files["scriptworker/trusted/"+name] = g.public(people[name])
	}
	return files
}

// home builds the keyring that a verifier with gpg had of one implementation,
// and returns which keys are valid in it, at least fully.
func home(t *testing.T, files map[string]string, implementation string, signed bool) map[string]bool {
	t.Helper()
	g := newGnuPG(t)
	own := g.make("own", "0")
	g.Now = now
	g.Run([]byte(own+":6:\n"), "--import-ownertrust")
	vouch := func(text string) {
		for _, key := range fingerprints(t, text) {
			g.Try(nil, "--quick-lsign-key", key) // refused for a key that is not valid
			if signed {
				g.Run([]byte(key+":5:\n"), "--import-ownertrust")
			}
		}
	}
	for name, text := range files {
		if strings.HasPrefix(name, implementation+"/") && (!signed || strings.Contains(name, "/trusted/")) {
			g.Run([]byte(text), "--import")
		}
	}
	for name, text := range files {
		if strings.HasPrefix(name, implementation+"/") && (!signed || strings.Contains(name, "/trusted/")) {
			vouch(text)
		}
	}
	g.Run(nil, "--check-trustdb")
	for name, text := range files {
		if signed && strings.HasPrefix(name, implementation+"/valid/") {
			g.Run([]byte(text), "--import")
		}
	}
	g.Run(nil, "--check-trustdb")
	valid := map[string]bool{}
	validity := ""
	for line := range strings.Lines(string(g.Run(nil, "--with-colons", "--list-keys"))) {
		fields := strings.Split(line, ":")
		switch {
		case fields[0] == "pub":
			validity = fields[1]
		case fields[0] == "fpr" && validity != "":
			if fields[9] != own {
				valid[fields[9]] = validity == "f" || validity == "u"
			}
			validity = ""
		}
	}
	return valid
}

func fingerprints(t *testing.T, text string) []string {
	t.Helper()
	ring, err := gpg.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ids(ring)
}

// TestVerdictOfGnuPG: of a repository that git and gpg made, each key counts
// that gpg says is valid in the keyring of that implementation, and no other.
func TestVerdictOfGnuPG(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	w := newWorld(t)
	w.git("rm", "-rq", "docker-worker", "generic-worker", "scriptworker")
	files := population(g)
	for name, text := range files {
		w.write(name, text)
	}
	w.commit()
	g.Now = time.Time{}
	signer := g.make("tagger", "0")
	gitWithGnuPG(w, g, "tag", "-s", "-u", signer, "-m", "production-1", "production-1")

	s := w.source()
	var err error
	if s.Signers, err = gpg.Read([]byte(g.public(signer))); err != nil {
		t.Fatal(err)
	}
	set, err := keyrepo.Read(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for implementation, signed := range map[string]bool{"docker-worker": false, "scriptworker": true} {
		got := map[string]bool{}
		for _, v := range set.Verdicts(now) {
			if v.Implementation == implementation {
				got[v.Key.Fingerprint()] = v.Err == nil
			}
		}
		want := home(t, files, implementation, signed)
		if diff := cmp.Diff(want, got); diff != "" || len(want) < 7 {
			t.Errorf("%s (-gpg +ours):\n%s", implementation, diff)
		}
	}
	if s := fmt.Sprint(names(set)); s != "map[anna:true bert:false blanks:true carl:false copied-host:true emil:false expired:false expired-host:false extended:true first:true good:true good-host:true nobodys-host:false of-emil:false of-expired:false of-revoked:false of-stranger:false revoked:false revoked-host:false second:false unvouched-host:false]" {
		t.Error(s)
	}
}

func names(set *keyrepo.Set) map[string]bool {
	counts := map[string]bool{}
	for _, v := range set.Verdicts(now) {
		name, _, _ := strings.Cut(v.Key.Identities()[0], " ")
		counts[name] = v.Err == nil
	}
	return counts
}

// TestGitVerifiesTheSame: tags that git tag -v takes are taken, and no others.
func TestGitVerifiesTheSame(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	w := newWorld(t)
	text, err := w.signer.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	g.Run(text, "--import")
	good := w.object(w.text("t", w.head(), 1), w.signer)
	for name, object := range map[string]string{
		"good":     good,
		"changed":  strings.Replace(good, "somebody", "somebodx", 1),
		"unknown":  w.object(w.text("t", w.head(), 1), w.other),
		"unsigned": w.text("t", w.head(), 1),
	} {
		w.ref("t", object)
		s := w.source()
		s.Tag = "t"
		_, err := keyrepo.Read(t.Context(), s)
		c := exec.CommandContext(t.Context(), "git", "tag", "-v", "t")
		c.Dir, c.Env = w.dir, g.Env()
		text, theirs := c.CombinedOutput()
		if (err == nil) != (theirs == nil) || (err == nil) != (name == "good") {
			t.Errorf("%s: %v, git: %v\n%s", name, err, theirs, text)
		}
	}
}

func gitWithGnuPG(w *world, g *gnupg, args ...string) {
	w.t.Helper()
	c := exec.CommandContext(w.t.Context(), "git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
	c.Dir, c.Env = w.dir, g.Env()
	if text, err := c.CombinedOutput(); err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, text)
	}
}

// TestExportForGnuPG: gpg imports what the store has.
func TestExportForGnuPG(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	store := keyrepo.Store{Dir: t.TempDir()}
	if _, err := store.Update(t.Context(), w.read(), false); err != nil {
		t.Fatal(err)
	}
	exported, err := filepath.Glob(filepath.Join(store.Dir, "2*", "scriptworker", "*", "*.asc"))
	if err != nil || len(exported) != 3 {
		t.Fatal(exported, err)
	}
	g.Run(nil, append([]string{"--import"}, exported...)...)
	checked := string(g.Run(nil, "--with-colons", "--check-signatures", w.host.Fingerprint()))
	if !strings.Contains(checked, "sig:!::22:"+w.root.Fingerprint()[24:]) {
		t.Errorf("%s", checked)
	}
}
