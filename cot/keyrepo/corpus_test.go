package keyrepo_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// corpus is the public data of 2017 that GW_CORPUS leads to: a
// repository of keys with signed tags, and a certificate that verifies with it.
type corpus struct {
	dir, repo string
	signers   *gpg.Keyring
}

func newCorpus(t *testing.T) corpus {
	t.Helper()
	root := os.Getenv("GW_CORPUS")
	if root == "" {
		t.Skip("GW_CORPUS does not name a folder with data of a production deployment")
	}
	tooltest.Need(t, "git")
	c := corpus{dir: filepath.Join(root, "cot"), repo: filepath.Join(t.TempDir(), "keys")}
	git(t, t.TempDir(), "clone", "-q", "--no-checkout", filepath.Join(c.dir, "cot-gpg-keys.bundle"), c.repo)
	c.signers = signers(t, filepath.Join(c.dir, "tag-signers"))
	return c
}

// signers reads the keys in the files of a folder.
func signers(t *testing.T, folder string) *gpg.Keyring {
	t.Helper()
	ring, err := keyrepo.ReadKeys(folder)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// production is when the certificate of the corpus was signed.
var production = time.Date(2017, 6, 2, 23, 0, 0, 0, time.UTC)

// TestTagsOfTheCorpus verifies every version that was ever in use, as of the day
// it was tagged.
func TestTagsOfTheCorpus(t *testing.T) {
	t.Parallel()
	c := newCorpus(t)
	tags := strings.Fields(git(t, c.repo, "tag"))
	if len(tags) != 61 {
		t.Errorf("%d tags, want 61", len(tags))
	}
	for _, tag := range tags {
		at := tagged(t, c.repo, tag).Add(time.Minute)
		set, err := keyrepo.Read(t.Context(), keyrepo.Source{Dir: c.repo, Tag: tag, Signers: c.signers.Merge(c.trusted(t, tag)), At: at})
		if err != nil {
			t.Error(err)
			continue
		}
		commit := strings.TrimSpace(git(t, c.repo, "rev-parse", tag+"^{commit}"))
		if r := set.Release; r.Tag != tag || r.Commit != commit || len(r.Signer) != 40 {
			t.Errorf("%s: %+v", tag, r)
		}
	}
}

// trusted are the people who certified keys then: they signed tags, too.
func (c corpus) trusted(t *testing.T, tag string) *gpg.Keyring {
	t.Helper()
	ring := gpg.NewKeyring()
	for _, name := range strings.Fields(git(t, c.repo, "ls-tree", "-r", "--name-only", tag, "scriptworker/trusted/")) {
		found, err := gpg.Read([]byte(git(t, c.repo, "show", tag+":"+name)))
		if err != nil {
			t.Fatal(err)
		}
		ring = ring.Merge(found)
	}
	return ring
}

func tagged(t *testing.T, repo, tag string) time.Time {
	t.Helper()
	text := git(t, repo, "for-each-ref", "--format=%(taggerdate:unix)", "refs/tags/"+tag)
	seconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0)
}

// TestCertificateOfTheCorpus opens a certificate of production with the keys of
// the version that was in use.
func TestCertificateOfTheCorpus(t *testing.T) {
	t.Parallel()
	c := newCorpus(t)
	git(t, c.repo, "checkout", "-q", "production-20170601010635")
	set, err := keyrepo.Read(t.Context(), keyrepo.Source{Dir: c.repo, Signers: c.signers, At: production})
	if err != nil {
		t.Fatal(err)
	}
	if got := set.Implementations(); !slices.Equal(got, []string{"docker-worker", "generic-worker", "scriptworker"}) {
		t.Errorf("%v", got)
	}
	file, err := os.ReadFile(filepath.Join(c.dir, "chainOfTrust-2017-production.json.asc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, implementation := range set.Implementations() {
		keys, err := set.Keys(implementation)
		if err != nil {
			t.Fatal(err)
		}
		certificate, signer, err := cot.OpenClearSigned(file, keys.OpenPGP, production)
		if implementation != "scriptworker" {
			if !errors.Is(err, gpg.ErrUnknownSigner) {
				t.Errorf("%s: %v", implementation, err)
			}
			continue
		}
		if err != nil || certificate.TaskID != "LnshJjNXTfeBlPNrAzyy9w" {
			t.Fatalf("%v %v", certificate, err)
		}
		by, err := keys.Check(signer, production)
		if err != nil || by == nil || !strings.Contains(signer.String(), "signing-linux-3") {
			t.Errorf("signed by %v, certified by %v: %v", signer, by, err)
		}
		if _, err := keys.Check(signer, time.Now()); !errors.Is(err, gpg.ErrExpired) {
			t.Errorf("now: %v", err)
		}
	}
	certified := 0
	for _, v := range set.Verdicts(production) {
		if v.By != nil {
			certified++
		}
		if v.Err != nil {
			t.Errorf("%s: %v", v.Path, v.Err)
		}
	}
	if certified != 11 {
		t.Errorf("%d certified keys, want 11", certified)
	}
	if _, err := keyrepo.Read(t.Context(), keyrepo.Source{Dir: c.repo, Signers: c.signers}); !errors.Is(err, gpg.ErrExpired) && !errors.Is(err, keyrepo.ErrEmpty) {
		t.Errorf("now: %v", err)
	}
}

// git runs git in a folder and returns its output.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return string(out)
}
