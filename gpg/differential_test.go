package gpg_test

import (
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/gpg"
)

// start is when the keys of a world are made.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func day(n float64) time.Time { return start.Add(time.Duration(n * 24 * float64(time.Hour))) }

// world is a person who is trusted, a host whose key that person may certify,
// and somebody else: in the home of a gpg that has all the private parts.
type world struct {
	*gnupg
	trusted, host, other string // fingerprints
	signer               string // what signs the file, as gpg's -u has it
}

func newWorld(t *testing.T, lifetime time.Duration) *world {
	t.Helper()
	w := &world{gnupg: newGnuPG(t)}
	for name, fingerprint := range map[string]*string{"trusted": &w.trusted, "host": &w.host, "other": &w.other} {
		k := newKey(t, func(s *gpg.Spec) { s.Name, s.Now, s.Lifetime = name, start, lifetime })
		w.have(k)
		*fingerprint = k.Fingerprint()
	}
	w.signer = w.host
	return w
}

// at runs gpg on a day.
func (w *world) at(n float64, args ...string) {
	w.t.Helper()
	w.Now = day(n)
	w.Run(nil, args...)
}

// certify has one key certify another.
func (w *world) certify(n float64, by, of string, more ...string) {
	w.t.Helper()
	w.at(n, append(append([]string{"-u", by}, more...), "--quick-sign-key", of)...)
}

// edit answers gpg's questions about a key.
func (w *world) edit(n float64, key string, answers ...string) {
	w.t.Helper()
	w.Now = day(n)
	input := strings.Join(append(answers, "save", ""), "\n")
	out, report, status := w.Try([]byte(input), "--command-fd", "0", "--no-batch", "--edit-key", key)
	if status != 0 {
		w.t.Fatalf("gpg --edit-key: exit status %d\n%s\n%s", status, out, report)
	}
}

func (w *world) revoke(n float64, key string) {
	w.t.Helper()
	w.edit(n, key, "revkey", "y", "1", "", "y")
}

// lose revokes the only user id, which gpg does only when there is another one
// for a moment.
func (w *world) lose(n float64, key, name string) {
	w.t.Helper()
	w.at(n, "--quick-add-uid", key, "other <other@example.com>")
	w.at(n, "--quick-revoke-uid", key, name+" <test@example.com>")
	w.edit(n, key, "1", "deluid", "y")
}

// subkey adds a subkey for signing, and has it sign the file.
func (w *world) subkey(n float64, expires string) {
	w.t.Helper()
	w.Now = day(n)
	w.signer = w.Make("--quick-add-key", w.host, "ed25519", "sign", expires) + "!"
}

// scenarios are worlds in which a file was signed on day 2, and is judged on
// the day named.
var scenarios = []struct {
	name     string
	lifetime time.Duration // of all keys
	before   func(*world)  // before the file is signed
	after    func(*world)
	judged   float64
	certifies,
	flat bool // whether the signed and the flat layout accept it
}{
	{name: "certified", before: certified, judged: 10, certifies: true, flat: true},
	{name: "not certified", judged: 10, flat: true},
	{name: "certified by somebody else", before: func(w *world) { w.certify(1, w.other, w.host) }, judged: 10, flat: true},
	{name: "certified afterwards", after: func(w *world) { w.certify(3, w.trusted, w.host) }, judged: 10, certifies: true, flat: true},
	{name: "certification expires later", before: func(w *world) { w.certify(1, w.trusted, w.host, "--default-cert-expire", "5d") }, judged: 5.5, certifies: true, flat: true},
	{name: "certification expired", before: func(w *world) { w.certify(1, w.trusted, w.host, "--default-cert-expire", "5d") }, judged: 6.5, flat: true},
	{name: "certification revoked", before: certified, after: func(w *world) { w.at(3, "--quick-revoke-sig", w.host, w.trusted) }, judged: 10, flat: true},
	{
		name: "certification revoked and made again", before: certified, judged: 10, certifies: true, flat: true,
		after: func(w *world) {
			w.at(3, "--quick-revoke-sig", w.host, w.trusted)
			w.certify(4, w.trusted, w.host, "--force-sign-key")
		},
	},
	{name: "somebody else revoked a certification", before: both, after: func(w *world) { w.at(3, "--quick-revoke-sig", w.host, w.other) }, judged: 10, certifies: true, flat: true},
	{name: "expires later", lifetime: 240 * time.Hour, before: certified, judged: 9.5, certifies: true, flat: true},
	{name: "expired", lifetime: 240 * time.Hour, before: certified, judged: 10.5},
	{name: "to the second before it expires", lifetime: 240 * time.Hour, before: certified, judged: 10 - 1./86400, certifies: true, flat: true},
	{name: "to the second expired", lifetime: 240 * time.Hour, before: certified, judged: 10},
	{
		name: "expired and extended", lifetime: 240 * time.Hour, before: certified, judged: 15, certifies: true, flat: true,
		after: func(w *world) {
			w.at(12, "--quick-set-expire", w.host, "30d")
			w.at(12, "--quick-set-expire", w.trusted, "30d")
		},
	},
	{name: "shortened", before: certified, after: func(w *world) { w.at(3, "--quick-set-expire", w.host, "2d") }, judged: 10},
	{name: "host extended, trusted expired", lifetime: 240 * time.Hour, before: certified, after: func(w *world) { w.at(9, "--quick-set-expire", w.host, "30d") }, judged: 15, flat: true},
	{name: "trusted extended, host expired", lifetime: 240 * time.Hour, before: certified, after: func(w *world) { w.at(9, "--quick-set-expire", w.trusted, "30d") }, judged: 15},
	{name: "revoked", before: certified, after: func(w *world) { w.revoke(3, w.host) }, judged: 10},
	{name: "trusted revoked", before: certified, after: func(w *world) { w.revoke(3, w.trusted) }, judged: 10, flat: true},
	{name: "trusted without a user id", before: certified, after: func(w *world) { w.lose(3, w.trusted, "trusted") }, judged: 10, flat: true},
	{
		name: "certified user id revoked", before: func(w *world) {
			certified(w)
			w.at(1.5, "--quick-add-uid", w.host, "second <second@example.com>")
		},
		after: func(w *world) { w.at(3, "--quick-revoke-uid", w.host, "host <test@example.com>") }, judged: 10, flat: true,
	},
	{
		name: "other user id revoked", before: func(w *world) {
			w.at(0.5, "--quick-add-uid", w.host, "second <second@example.com>")
			certified(w)
		},
		after: func(w *world) { w.at(3, "--quick-revoke-uid", w.host, "second <second@example.com>") }, judged: 10, certifies: true, flat: true,
	},
	{
		name: "only user id revoked", before: certified, judged: 10,
		after: func(w *world) { w.lose(3, w.host, "host") },
	},
	{name: "signed by a subkey", before: func(w *world) { certified(w); w.subkey(1, "0") }, judged: 10, certifies: true, flat: true},
	{name: "subkey expired", before: func(w *world) { certified(w); w.subkey(1, "5d") }, judged: 7},
	{name: "subkey revoked", before: func(w *world) { certified(w); w.subkey(1, "0") }, after: func(w *world) { w.edit(3, w.host, "key 2", "revkey", "y", "0", "", "y") }, judged: 10},
	{name: "signed by the trusted key", before: func(w *world) { w.signer = w.trusted }, judged: 10, certifies: true, flat: true},
	{name: "signed by somebody unknown", before: func(w *world) { certified(w); w.signer = w.other }, judged: 10},
	{name: "certified with SHA-1", before: func(w *world) {
		w.certify(1, w.trusted, w.host, "--cert-digest-algo", "SHA1", "--allow-weak-digest-algos", "--allow-weak-key-signatures")
	}, judged: 10, flat: true},
}

func certified(w *world) { w.certify(1, w.trusted, w.host) }

func both(w *world) {
	certified(w)
	w.certify(1, w.other, w.host)
}

// TestVerdictOfGnuPG asks gpg and us about the same files, with keys in the
// two layouts of key repositories: signed, where keys of hosts count that a
// trusted key certifies, and flat, where all keys count.
func TestVerdictOfGnuPG(t *testing.T) {
	t.Parallel()
	for _, row := range scenarios {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, row.lifetime)
			if row.before != nil {
				row.before(w)
			}
			w.Now = day(2)
			file := w.Run([]byte("text\n"), "--clear-sign", "-u", w.signer)
			if row.after != nil {
				row.after(w)
			}
			w.Now = time.Time{}
			j := judge{
				trusted: w.Run(nil, "--export", w.trusted), host: w.Run(nil, "--export", w.host),
				file: file, at: day(row.judged),
			}
			if ours, theirs := j.signed(t), j.signedByGnuPG(t); ours != row.certifies || theirs != row.certifies {
				t.Errorf("signed layout: %t, gpg: %t, want %t", ours, theirs, row.certifies)
			}
			if ours, theirs := j.flat(t), j.flatByGnuPG(t); ours != row.flat || theirs != row.flat {
				t.Errorf("flat layout: %t, gpg: %t, want %t", ours, theirs, row.flat)
			}
		})
	}
}

// judge has a signed file and the keys that there are.
type judge struct {
	trusted, host, file []byte
	at                  time.Time
}

func (j judge) signed(t *testing.T) bool {
	t.Helper()
	trusted := read(t, j.trusted)
	valid := trusted.Keys()
	for _, k := range read(t, j.host).Keys() {
		if _, err := trusted.Certifies(k, j.at); err == nil {
			valid = append(valid, k)
		} else {
			t.Log(err)
		}
	}
	return opens(t, gpg.NewKeyring(valid...), j)
}

func (j judge) flat(t *testing.T) bool {
	t.Helper()
	return opens(t, read(t, j.trusted).Merge(read(t, j.host)), j)
}

func opens(t *testing.T, r *gpg.Keyring, j judge) bool {
	t.Helper()
	text, _, err := r.OpenClearSigned(j.file, j.at)
	if err != nil {
		t.Log(err)
	} else if string(text) != "text" {
		t.Errorf("the text is %q", text)
	}
	return err == nil
}

// own is a home with a key that is trusted ultimately, as each verifier has
// one.
func (j judge) own(t *testing.T) *gnupg {
	t.Helper()
	g := newGnuPG(t)
	k := newKey(t, func(s *gpg.Spec) { s.Name, s.Now = "own", start })
	g.have(k)
	g.Now = j.at
	g.Run([]byte(k.Fingerprint()+":6:\n"), "--import-ownertrust")
	return g
}

func (j judge) signedByGnuPG(t *testing.T) bool {
	t.Helper()
	g := j.own(t)
	g.Run(j.trusted, "--import")
	trusted := one(t, read(t, j.trusted)).Fingerprint()
	g.Try(nil, "--quick-lsign-key", trusted) // refused for a key that is not valid
	g.Run([]byte(trusted+":5:\n"), "--import-ownertrust")
	g.Run(j.host, "--import")
	return g.accepts(j.file)
}

func (j judge) flatByGnuPG(t *testing.T) bool {
	t.Helper()
	g := j.own(t)
	for _, key := range [][]byte{j.trusted, j.host} {
		g.Run(key, "--import")
		g.Try(nil, "--quick-lsign-key", one(t, read(t, key)).Fingerprint())
	}
	return g.accepts(j.file)
}

// accepts wants a good signature by a key whose validity is at least full.
func (g *gnupg) accepts(file []byte) bool {
	g.t.Helper()
	g.Run(nil, "--check-trustdb")
	_, report, _ := g.Try(file, "--verify")
	g.t.Log(report)
	return strings.Contains(report, "] GOODSIG") && (strings.Contains(report, "] TRUST_FULLY") || strings.Contains(report, "] TRUST_ULTIMATE"))
}
