package encryptedenv

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	taskID  = "fN1SbArXTPSVFUUvaOlinQ"
	another = "KTBKfEgxR5GdfIIREQIvFQ"
	// hunter is a value that no text may contain, nor its beginning.
	hunter = "hunter2-äöü-\"\\"
)

// noon is when the tests are.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func ms(t time.Time) int64 { return t.UnixMilli() }

// newKey makes a key that is quick to make.
func newKey(t testing.TB, change func(*gpg.Spec)) *gpg.Key {
	t.Helper()
	spec := gpg.Spec{Name: "pool", Algorithm: gpg.Curve25519, Encryption: true, Now: noon().AddDate(-1, 0, 0)}
	if change != nil {
		change(&spec)
	}
	key, err := gpg.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// poolKey is a key that all tests can share.
var poolKey = sync.OnceValues(func() (*gpg.Key, error) {
	return gpg.Generate(gpg.Spec{Name: "pool", Algorithm: gpg.Curve25519, Encryption: true, Now: noon().AddDate(-1, 0, 0)})
})

func pool(t testing.TB) *gpg.Key {
	t.Helper()
	key, err := poolKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newFeature has the clock at noon.
func newFeature(keys ...*gpg.Key) *Feature {
	f := New(Config{Keys: gpg.NewKeyring(keys...), Now: noon})
	f.step = time.Nanosecond
	return f
}

// seal encrypts a text, whatever it is.
func seal(t testing.TB, key *gpg.Key, plain string) string {
	t.Helper()
	message, err := key.Encrypt([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(message)
}

// fields is a message with what is given changed; nil takes a member away.
type fields map[string]any

func (f fields) String() string {
	all := fields{
		"messageVersion": 1, "taskId": taskID, "name": "TOKEN", "value": hunter,
		"startTime": ms(noon().Add(-time.Hour)), "endTime": ms(noon().Add(time.Hour)),
	}
	maps.Copy(all, f)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(map[string]any(all))
	if err != nil {
		panic("encryptedenv: internal error: " + err.Error())
	}
	return string(text)
}

func item(t testing.TB, f fields) string {
	t.Helper()
	return seal(t, pool(t), f.String())
}

func newRun(t testing.TB, items ...string) *task.Run {
	t.Helper()
	run := tasktest.New(t)
	run.TaskID, run.Definition.ProvisionerID, run.Definition.WorkerType = taskID, "proj", "linux"
	run.Payload = payload.Payload{Env: map[string]string{"PLAIN": "x", "Mixed": "y"}, EncryptedEnv: items}
	return run
}

// start attaches the feature and prepares the run; what it refuses is
// malformed, names an item in each line and no secret, and sets nothing.
func start(t testing.TB, f *Feature, run *task.Run) error {
	t.Helper()
	hooks, err := f.Attach(run)
	if err == nil && hooks.Prepare != nil {
		err = hooks.Prepare(t.Context())
	}
	if err == nil {
		return nil
	}
	if got := task.ResolutionOf(err); got != task.MalformedPayload {
		t.Errorf("resolved as %v: %v", got, err)
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "encryptedEnv[") {
			t.Errorf("a line without the index of its item: %s", line)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret is shown: %v", err)
	}
	if env := run.Environ(); len(env) > 0 {
		t.Errorf("refused, but %d variables are set", len(env))
	}
	return err
}

// accepted tells which variables a run gets for items.
func accepted(t testing.TB, f *Feature, items ...string) map[string]string {
	t.Helper()
	run := newRun(t, items...)
	if err := start(t, f, run); err != nil {
		t.Fatal(err)
	}
	return run.Environ()
}

// refused tells why the items are refused.
func refused(t testing.TB, f *Feature, items ...string) string {
	t.Helper()
	err := start(t, f, newRun(t, items...))
	if err == nil {
		t.Error("accepted")
		return ""
	}
	return err.Error()
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func signing(s *gpg.Spec) { s.Encryption = false }

// spells tells whether the text is one of the encodings of the bytes.
func spells(text string, message []byte) bool {
	text = strings.NewReplacer("\r", "", "\n", "", "\t", "", " ", "").Replace(text)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if encoding.EncodeToString(message) == text {
			return true
		}
	}
	return false
}

func readArmored(text []byte) (openpgp.EntityList, error) {
	return openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
}
