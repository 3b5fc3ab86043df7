package gpg_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// corpus is the public data of 2017 that GW_CORPUS leads to: a
// repository of keys with signed tags, and a certificate that verifies with it.
type corpus struct {
	t         testing.TB
	dir, repo string
}

func newCorpus(t testing.TB) corpus {
	t.Helper()
	root := os.Getenv("GW_CORPUS")
	if root == "" {
		t.Skip("GW_CORPUS does not name a folder with data of a production deployment")
	}
	tooltest.Need(t, "git")
	c := corpus{t: t, dir: filepath.Join(root, "cot"), repo: filepath.Join(t.TempDir(), "keys")}
	clone := exec.CommandContext(t.Context(), "git", "clone", "-q", "--no-checkout", filepath.Join(c.dir, "cot-gpg-keys.bundle"), c.repo)
	if text, err := clone.CombinedOutput(); err != nil {
		t.Fatalf("cannot clone the keys: %v\n%s", err, text)
	}
	return c
}

func (c corpus) git(args ...string) []byte {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "git", append([]string{"-C", c.repo}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// keys reads all keys below a folder of the checkout.
func (c corpus) keys(folder string) *gpg.Keyring {
	c.t.Helper()
	ring := gpg.NewKeyring()
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".md") || strings.HasSuffix(path, ".in") || strings.HasSuffix(path, ".sh") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := gpg.Read(text)
		if err != nil {
			return err
		}
		ring = ring.Merge(found)
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return ring
}

// TestAllKeysOfTheCorpus reads every key that the repository ever had.
func TestAllKeysOfTheCorpus(t *testing.T) {
	t.Parallel()
	c := newCorpus(t)
	read, blanks := 0, 0
	for line := range strings.Lines(string(c.git("rev-list", "--objects", "--all"))) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || string(c.git("cat-file", "-t", id)) != "blob\n" {
			continue
		}
		text := c.git("cat-file", "blob", id)
		if !bytes.Contains(text, []byte("-----BEGIN PGP PUBLIC KEY BLOCK")) {
			continue
		}
		read++
		if bytes.Contains(text, []byte(" \n")) {
			blanks++
		}
		if _, err := gpg.Read(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if read != 126 || blanks != 1 {
		t.Errorf("%d keys, %d with blanks at the ends of lines; want 126 and 1", read, blanks)
	}
}

// TestCertificateOfTheCorpus verifies a certificate of production as of its
// date.
func TestCertificateOfTheCorpus(t *testing.T) {
	t.Parallel()
	c := newCorpus(t)
	c.git("checkout", "-q", "production-20170601010635")
	trusted := c.keys(filepath.Join(c.repo, "scriptworker", "trusted"))
	hosts := c.keys(filepath.Join(c.repo, "scriptworker", "valid"))
	file, err := os.ReadFile(filepath.Join(c.dir, "chainOfTrust-2017-production.json.asc"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2017, 6, 2, 23, 0, 0, 0, time.UTC)
	var certified []*gpg.Key
	for _, k := range hosts.Keys() {
		if _, err := trusted.Certifies(k, at); err != nil {
			t.Error(err)
			continue
		}
		certified = append(certified, k)
	}
	if len(certified) != 11 {
		t.Errorf("%d certified keys, want 11", len(certified))
	}
	text, signer, err := gpg.NewKeyring(certified...).OpenClearSigned(file, at)
	if err != nil || !strings.Contains(signer.Identities()[0], "signing-linux-3") || !bytes.Contains(text, []byte(`"LnshJjNXTfeBlPNrAzyy9w"`)) {
		t.Errorf("%v, %v\n%.200s", signer, err, text)
	}
	if _, _, err := hosts.OpenClearSigned(file, time.Now()); !errors.Is(err, gpg.ErrExpired) {
		t.Errorf("now: %v", err)
	}
	if _, _, err := trusted.OpenClearSigned(file, at); !errors.Is(err, gpg.ErrUnknownSigner) {
		t.Errorf("with the trusted keys only: %v", err)
	}
}

// trusted are the people who certify keys in one release.
func (c corpus) trusted(tag string) *gpg.Keyring {
	c.t.Helper()
	var keys []*gpg.Key
	for _, name := range strings.Fields(string(c.git("ls-tree", "-r", "--name-only", tag, "scriptworker/trusted/"))) {
		keys = append(keys, read(c.t, c.git("show", tag+":"+name)).Keys()...)
	}
	return gpg.NewKeyring(keys...)
}

// TestTagsOfTheCorpus verifies all releases of the keys, each as of its date:
// some were signed with subkeys that only the keys in the release have.
func TestTagsOfTheCorpus(t *testing.T) {
	t.Parallel()
	c := newCorpus(t)
	signers := c.keys(filepath.Join(c.dir, "tag-signers"))
	tagger := regexp.MustCompile(`(?m)^tagger .* (\d+) [+-]\d{4}$`)
	tags := strings.Fields(string(c.git("tag")))
	for _, name := range tags {
		tag, signature := splitTag(t, c.git("cat-file", "tag", name))
		found := tagger.FindSubmatch(tag)
		if found == nil {
			t.Fatalf("%s: no date in %s", name, tag)
		}
		seconds, err := strconv.ParseInt(string(found[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signers.Merge(c.trusted(name)).VerifyDetached(tag, signature, time.Unix(seconds, 0)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(tags) != 61 {
		t.Errorf("%d tags, want 61", len(tags))
	}
}
