package keyrepo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func ids(ring *gpg.Keyring) []string {
	if ring == nil {
		return nil
	}
	var found []string
	for _, k := range ring.Keys() {
		found = append(found, k.Fingerprint())
	}
	slices.Sort(found)
	return found
}

// TestKeys: what a version says of each implementation.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	for name, set := range map[string]*keyrepo.Set{"checkout": w.read(), "bare": bare(w), "packed": packed(w)} {
		want := map[string]keyrepo.Keys{
			"docker-worker":  {OpenPGP: gpg.NewKeyring(w.docker)},
			"generic-worker": {OpenPGP: gpg.NewKeyring(w.generic)},
			"scriptworker":   {OpenPGP: gpg.NewKeyring(w.host, w.other), CertifiedBy: gpg.NewKeyring(w.root)},
		}
		if got := set.Implementations(); !slices.Equal(got, []string{"docker-worker", "generic-worker", "scriptworker"}) {
			t.Errorf("%s: %v", name, got)
		}
		for implementation, want := range want {
			got, err := set.Keys(implementation)
			if err != nil || !slices.Equal(ids(got.OpenPGP), ids(want.OpenPGP)) || !slices.Equal(ids(got.CertifiedBy), ids(want.CertifiedBy)) || (got.CertifiedBy == nil) != (want.CertifiedBy == nil) {
				t.Errorf("%s: %s: %v", name, implementation, err)
			}
		}
		if r := set.Release; r.Tag != "production-1" || r.Commit != w.head() || r.Signer != w.signer.Fingerprint() || !r.Tagged.Equal(start.Add(24*time.Hour)) {
			t.Errorf("%s: %+v", name, r)
		}
		if _, err := set.Keys("other-worker"); !errors.Is(err, keyrepo.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		checkVerdicts(w, set)
	}
}

func checkVerdicts(w *world, set *keyrepo.Set) {
	w.t.Helper()
	type verdict struct {
		Key, By string
		Counts  bool
	}
	want := map[string]verdict{
		"docker-worker/2031/docker.pub": {w.docker.Fingerprint(), "", true},
		"generic-worker/2031/no-suffix": {w.generic.Fingerprint(), "", true},
		"scriptworker/trusted/root.pub": {w.root.Fingerprint(), "", true},
		"scriptworker/valid/host.pub":   {w.host.Fingerprint(), w.root.Fingerprint(), true},
		"scriptworker/valid/other.pub":  {w.other.Fingerprint(), "", false},
	}
	got := map[string]verdict{}
	for _, v := range set.Verdicts(now) {
		by := ""
		if v.By != nil {
			by = v.By.Fingerprint()
		}
		got[v.Path] = verdict{v.Key.Fingerprint(), by, v.Err == nil}
		if v.Trusted != strings.Contains(v.Path, "/trusted/") || !strings.HasPrefix(v.Path, v.Implementation+"/") {
			w.t.Errorf("%+v", v)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("-want +got:\n%s", diff)
	}
}

func bare(w *world) *keyrepo.Set {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "bare")
	git(w.t, w.t.TempDir(), "clone", "-q", "--bare", w.dir, dir)
	s := w.source()
	s.Dir = dir
	set, err := keyrepo.Read(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

func packed(w *world) *keyrepo.Set {
	w.t.Helper()
	w.git("gc", "-q", "--aggressive", "--prune=now")
	return w.read()
}

// TestWhichTag: it is the one that git describe names.
func TestWhichTag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("z-older", 1, w.signer)
	w.tag("a-newer", 2, w.signer)
	w.git("tag", "light")
	read := func(want string) {
		t.Helper()
		if got := w.read().Release.Tag; got != want || strings.TrimSpace(w.git("describe", "--abbrev=0")) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	read("a-newer")
	first := w.head()
	w.commit()
	if _, err := keyrepo.Read(t.Context(), w.source()); !errors.Is(err, keyrepo.ErrNoTag) || !strings.Contains(err.Error(), "git describe") {
		t.Errorf("a commit after the tag: %v", err)
	}
	s := w.source()
	s.Tag = "z-older"
	if set, err := keyrepo.Read(t.Context(), s); err != nil || set.Release.Commit != first {
		t.Errorf("%v", err)
	}
	w.tag("folder/newest", 3, w.signer)
	read("folder/newest")
	w.git("checkout", "-q", first)
	read("a-newer")
	// git describe goes for the newest, signed or not, and so nothing passes.
	w.ref("unsigned", w.text("unsigned", w.head(), 4))
	if _, err := keyrepo.Read(t.Context(), w.source()); !errors.Is(err, keyrepo.ErrUnsigned) {
		t.Errorf("%v", err)
	}
}

// TestTags: what is refused about tags.
func TestTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := w.text("t", w.head(), 1)
	signed := w.object(text, w.signer)
	message, signature, _ := strings.Cut(signed, "-----BEGIN")
	signature = "-----BEGIN" + signature
	tree := strings.TrimSpace(w.git("rev-parse", "HEAD^{tree}"))
	for name, row := range map[string]struct {
		object string
		want   error
	}{
		"good":                    {signed, nil},
		"not signed":              {text, keyrepo.ErrUnsigned},
		"signed by somebody else": {w.object(text, w.other), gpg.ErrUnknownSigner},
		"message changed":         {strings.Replace(signed, "\n\nt\n", "\n\nu\n", 1), gpg.ErrBadSignature},
		"something behind":        {signed + "more\n", gpg.ErrDamaged},
		"two signatures":          {signed + signature, keyrepo.ErrDamaged},
		"two signed parts":        {message + signature + "more\n" + signature, keyrepo.ErrDamaged},
		"signature of other kind": {message + "-----BEGIN SSH SIGNATURE-----\nAA==\n-----END SSH SIGNATURE-----\n", keyrepo.ErrUnsigned},
		"another name":            {w.object(w.text("u", w.head(), 1), w.signer), keyrepo.ErrDamaged},
		"of a directory":          {w.object(strings.Replace(w.text("t", tree, 1), "type commit", "type tree", 1), w.signer), keyrepo.ErrDamaged},
		"of another type":         {w.object(strings.Replace(text, "type commit", "type tree", 1), w.signer), keyrepo.ErrDamaged},
		"of what is no commit":    {w.object(w.text("t", tree, 1), w.signer), keyrepo.ErrDamaged},
		"of what is not there":    {w.object(w.text("t", strings.Repeat("ab", 20), 1), w.signer), keyrepo.ErrDamaged},
		"of the future":           {w.object(w.text("t", w.head(), 60), w.signer), gpg.ErrBadSignature},
		"without a date":          {w.object(strings.Replace(text, " +0000", "", 1), w.signer), keyrepo.ErrDamaged},
		"more lines":              {w.object(strings.Replace(text, "\n\n", "\nobject "+tree+"\n\n", 1), w.signer), keyrepo.ErrDamaged},
		"lines in another order":  {w.object(strings.Replace(text, "type commit\ntag t\n", "tag t\ntype commit\n", 1), w.signer), keyrepo.ErrDamaged},
	} {
		w.ref("t", row.object)
		s := w.source()
		s.Tag = "t"
		if _, err := keyrepo.Read(t.Context(), s); !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	s := w.source()
	s.Tag = "nowhere"
	if _, err := keyrepo.Read(t.Context(), s); !errors.Is(err, keyrepo.ErrNoTag) {
		t.Errorf("%v", err)
	}
	w.ref("t", signed)
	s.Tag, s.Signers = "t", nil
	if _, err := keyrepo.Read(t.Context(), s); !errors.Is(err, gpg.ErrUnknownSigner) {
		t.Errorf("nobody may sign: %v", err)
	}
}

// TestOnlyWhatIsSigned: neither the work tree nor changed objects of git bring
// in a key.
func TestOnlyWhatIsSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	evil := newKey(t, "evil", nil)
	w.put("docker-worker/2031/docker.pub", evil)
	w.put("docker-worker/more.pub", evil)
	checkVerdicts(w, w.read())
	w.git("add", "-A")
	checkVerdicts(w, w.read())

	// The same hash, another content: of a file, then of a directory.
	for _, name := range []string{"docker-worker/2031/docker.pub", "docker-worker", ""} {
		id := strings.TrimSpace(w.git("rev-parse", "HEAD:"+name))
		other := strings.TrimSpace(w.git("hash-object", "-w", filepath.Join(w.dir, "docker-worker/more.pub")))
		if !strings.HasSuffix(name, ".pub") {
			other = strings.TrimSpace(w.git("write-tree", "--prefix=docker-worker/"))
		}
		object := func(id string) string { return filepath.Join(w.dir, ".git", "objects", id[:2], id[2:]) }
		before, after := readFile(t, object(id)), readFile(t, object(other))
		replace(t, object(id), after)
		if _, err := keyrepo.Read(t.Context(), w.source()); !errors.Is(err, keyrepo.ErrDamaged) {
			t.Errorf("%q: %v", name, err)
		}
		replace(t, object(id), before)
	}
	checkVerdicts(w, w.read())

	// git would read another object in the place of this one.
	id := strings.TrimSpace(w.git("rev-parse", "HEAD:docker-worker/2031/docker.pub"))
	w.git("replace", id, strings.TrimSpace(w.git("hash-object", "-w", filepath.Join(w.dir, "docker-worker/more.pub"))))
	checkVerdicts(w, w.read())
}

// TestDamaged: no byte of a repository that is changed brings in a key, or lets
// the program end.
func TestDamaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	w.git("gc", "-q", "--prune=now")
	for _, kind := range []string{"*.pack", "*.idx"} {
		files, err := filepath.Glob(filepath.Join(w.dir, ".git", "objects", "pack", kind))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		good := readFile(t, files[0])
		for at := 0; at < len(good); at += 1 + len(good)/150 {
			bad := slices.Clone(good)
			bad[at] ^= 0x55
			replace(t, files[0], bad)
			set, err := keyrepo.Read(t.Context(), w.source())
			if err == nil {
				checkVerdicts(w, set)
			}
		}
		replace(t, files[0], good)
	}
	checkVerdicts(w, w.read())
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func replace(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWhichRepository: what else there may be in the place of a repository.
func TestWhichRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	tree := filepath.Join(t.TempDir(), "tree")
	w.git("worktree", "add", "-q", tree, "production-1")
	for _, dir := range []string{tree, t.TempDir(), filepath.Join(t.TempDir(), "nowhere")} {
		s := w.source()
		s.Dir = dir
		if _, err := keyrepo.Read(t.Context(), s); !errors.Is(err, keyrepo.ErrNoRepository) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := keyrepo.Read(stopped, w.source()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestLayout: what the directories are is up to who reads them.
func TestLayout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tag("production-1", 1, w.signer)
	for name, row := range map[string]struct {
		layout keyrepo.Layout
		want   error
	}{
		"one":                      {keyrepo.Layout{{Implementation: "docker-worker"}}, nil},
		"signed ones are as flat":  {keyrepo.Layout{{Implementation: "scriptworker", Ignored: []string{".md"}}}, nil},
		"nothing is ignored":       {keyrepo.Layout{{Implementation: "generic-worker"}}, gpg.ErrNoKey},
		"flat ones are not signed": {keyrepo.Layout{{Implementation: "docker-worker", Signed: true}}, keyrepo.ErrEmpty},
		"not there":                {keyrepo.Layout{{Implementation: "other-worker"}}, keyrepo.ErrEmpty},
		"no keys":                  {keyrepo.Layout{{Implementation: "test", Ignored: []string{"Dockerfile"}}}, keyrepo.ErrEmpty},
		"none":                     {keyrepo.Layout{}, keyrepo.ErrEmpty},
	} {
		s := w.source()
		s.Layout = row.layout
		if _, err := keyrepo.Read(t.Context(), s); !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", ".git", `a\b`, "a b"} {
		s := w.source()
		s.Layout = keyrepo.Layout{{Implementation: name}}
		if _, err := keyrepo.Read(t.Context(), s); err == nil || !strings.Contains(err.Error(), "not the name of a worker implementation") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
