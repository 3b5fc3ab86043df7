package chainoftrust

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newConfig(t *testing.T) Config {
	t.Helper()
	raw, err := cot.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	pgp, err := gpg.Generate(gpg.Spec{Name: "worker", Algorithm: gpg.Curve25519})
	if err != nil {
		t.Fatal(err)
	}
	return Config{Keys: cot.Signer{Ed25519: raw, OpenPGP: pgp}, Version: "1.2.3", Engine: "multiuser", WorkerGroup: "g", WorkerID: "w"}
}

// newRun claims a run of a fake queue, of a task that asks for a certificate and
// whose definition has the given extra.
func newRun(t *testing.T, extra string) (*task.Run, *queuetest.Fake) {
	t.Helper()
	fake := queuetest.StartFake(t, queuetest.FakeOptions{})
	now := time.Now().UTC()
	definition := fmt.Sprintf(`{"provisionerId":"test-provisioner","workerType":"test-worker","taskQueueId":%q,
"taskGroupId":"AAAAAAAAQ_CAAAAAAAAAAA","dependencies":[],"requires":"all-completed","routes":[],"priority":"lowest","retries":5,
"created":%q,"deadline":%q,"expires":%q,"scopes":[],"payload":{},"metadata":{},"tags":{},"extra":%s}`,
		queuetest.TaskQueueID, stamp(now), stamp(now.Add(time.Hour)), stamp(now.Add(time.Hour)), extra)
	if err := fake.AddDefinition("AAAAAAAAQ_CAAAAAAAAAAA", json.RawMessage(definition)); err != nil {
		t.Fatal(err)
	}
	run := tasktest.Claimed(t, fake)
	run.Artifacts.RootURL = "https://tc.example.com"
	run.Payload = payload.Payload{Features: payload.Features{ChainOfTrust: true}}
	return run, fake
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

func attach(t *testing.T, config Config, run *task.Run) features.Hooks {
	t.Helper()
	hooks, err := New(config).Attach(run)
	if err != nil {
		t.Fatal(err)
	}
	return hooks
}

// complete takes a run from its preparation to its sealed certificate.
func complete(t *testing.T, config Config, run *task.Run) error {
	t.Helper()
	hooks := attach(t, config, run)
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := hooks.Finish(t.Context(), run.Resolution); err != nil {
		return err
	}
	run.Log.Info("the end")
	if err := run.Log.Close(); err != nil {
		t.Fatal(err)
	}
	return hooks.Seal(t.Context())
}

// open returns the certificate that the fake stored, verified in both forms.
func open(t *testing.T, config Config, fake *queuetest.Fake, run *task.Run) *cot.Certificate {
	t.Helper()
	view, _ := fake.Run(run.TaskID, run.RunID)
	content := func(name string) []byte { return decoded(t, view.Artifact(name)) }
	c, _, err := cot.OpenEd25519(content(cot.BodyName), content(cot.SignatureName), []ed25519.PublicKey{config.Keys.Ed25519.Public()})
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := cot.OpenClearSigned(content(cot.ClearSignedName), gpg.NewKeyring(config.Keys.OpenPGP), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("(-ed25519 +OpenPGP):\n%s", diff)
	}
	if bad := fake.Violations(); len(bad) > 0 {
		t.Errorf("violations: %q", bad)
	}
	return c
}

// decoded is the content of an artifact as it was before its encoding.
func decoded(t *testing.T, stored queuetest.Stored) []byte {
	t.Helper()
	if stored.ContentEncoding != "gzip" {
		return stored.Body
	}
	zip, err := gzip.NewReader(bytes.NewReader(stored.Body))
	if err != nil {
		t.Fatalf("%s: %v", stored.Name, err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatalf("%s: %v", stored.Name, err)
	}
	return text
}

// add publishes a file, as the task's artifacts are.
func add(t *testing.T, run *task.Run, name, content string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := run.Artifacts.Publish(t.Context(), artifact.File{Name: name, Content: file, Expires: time.Time(run.Definition.Expires)}); err != nil {
		t.Fatal(err)
	}
}

// TestPublished shows what is published, how, and in which order.
func TestPublished(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	run, fake := newRun(t, "{}")
	add(t, run, "public/first.txt", "x")
	fmt.Fprintln(run.Log, "hello")
	if err := complete(t, config, run); err != nil {
		t.Fatal(err)
	}
	open(t, config, fake, run)
	view, _ := fake.Run(run.TaskID, run.RunID)
	var got []string
	for _, a := range view.Artifacts {
		got = append(got, fmt.Sprint(a.Name, " ", a.StorageType, " ", a.ContentType, " ", a.ContentEncoding))
		if !a.Expires.Equal(time.Time(run.Definition.Expires)) {
			t.Errorf("%s expires %v", a.Name, a.Expires)
		}
	}
	want := []string{
		"public/first.txt s3 text/plain; charset=utf-8 gzip",
		"public/logs/certified.log s3 text/plain; charset=utf-8 gzip",
		"public/chain-of-trust.json s3 text/plain; charset=utf-8 gzip",
		"public/chain-of-trust.json.sig s3 application/octet-stream identity",
		"public/chainOfTrust.json.asc s3 text/plain; charset=utf-8 gzip",
		"public/provenance.intoto.jsonl s3 application/jsonl gzip",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if log := string(decoded(t, view.Artifact(cot.LogName))); !strings.HasPrefix(log, "hello\n") || !strings.HasSuffix(log, "the end\n") {
		t.Errorf("the certified log is %q", log)
	}
	if left, err := os.ReadDir(run.Dir); err != nil || len(left) != 1 {
		t.Errorf("in the run's directory there is %v, %v", left, err)
	}
}

// TestReserved shows that no artifact of a task can have a name of the certificate's.
func TestReserved(t *testing.T) {
	t.Parallel()
	run, _ := newRun(t, "{}")
	want := []string{
		"public/chain-of-trust.json", "public/chain-of-trust.json.sig", "public/chainOfTrust.json.asc",
		"public/logs/certified.log", "public/provenance.intoto.jsonl",
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(attach(t, newConfig(t), run).Reserves))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestC2HashesOfWhatWasUploaded compares every hash in a certificate with the
// bytes that the storage got.
func TestC2HashesOfWhatWasUploaded(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	run, fake := newRun(t, "{}")
	for i := range 20 {
		add(t, run, fmt.Sprintf("public/%d.txt", i), strings.Repeat("line\n", i*1000))
		add(t, run, fmt.Sprintf("public/%d.zip", i), fmt.Sprint(i))
	}
	if err := complete(t, config, run); err != nil {
		t.Fatal(err)
	}
	c := open(t, config, fake, run)
	view, _ := fake.Run(run.TaskID, run.RunID)
	if len(c.Artifacts) != 41 {
		t.Errorf("%d artifacts are certified", len(c.Artifacts))
	}
	for name, sums := range c.Artifacts {
		sum := sha256.Sum256(decoded(t, view.Artifact(name)))
		if want := map[string]string{"sha256": hex.EncodeToString(sum[:])}; !maps.Equal(sums, want) {
			t.Errorf("%s: %v is certified, %v was uploaded", name, sums, want)
		}
	}
}

// TestC3SameSet compares the names in a certificate with those the queue has.
func TestC3SameSet(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	run, fake := newRun(t, "{}")
	expires := time.Time(run.Definition.Expires)
	add(t, run, "public/a", "a")
	add(t, run, "private/b", "b")
	if err := errors.Join(
		run.Artifacts.PublishError(t.Context(), "public/missing", artifact.Missing, "it is not there", expires),
		run.Artifacts.Reference(t.Context(), "public/elsewhere", "https://example.com/x", "text/plain", expires),
		run.Artifacts.Reference(t.Context(), "public/live.log", "https://example.com/log", "text/plain", expires),
		run.Artifacts.Link(t.Context(), "public/live.log", "public/a", "text/plain", expires),
	); err != nil {
		t.Fatal(err)
	}
	if err := complete(t, config, run); err != nil {
		t.Fatal(err)
	}
	c := open(t, config, fake, run)
	own := []string{cot.BodyName, cot.SignatureName, cot.ClearSignedName, cot.ProvenanceName}
	data, others := []string{}, map[string]string{}
	view, _ := fake.Run(run.TaskID, run.RunID)
	for _, a := range view.Artifacts {
		switch {
		case slices.Contains(own, a.Name):
		case a.StorageType == "s3":
			data = append(data, a.Name)
		default:
			others[a.Name] = a.StorageType
		}
	}
	slices.Sort(data)
	if diff := cmp.Diff(data, slices.Sorted(maps.Keys(c.Artifacts))); diff != "" || len(data) != 3 {
		t.Errorf("with data (-queue +certificate):\n%s", diff)
	}
	if diff := cmp.Diff(others, c.OtherArtifacts); diff != "" || len(others) != 3 {
		t.Errorf("without data (-queue +certificate):\n%s", diff)
	}
}

// TestC4NeverGreen takes away one thing after the other that a certificate needs.
func TestC4NeverGreen(t *testing.T) {
	t.Parallel()
	refuse := func(skip int) func(*testing.T, *task.Run, *queuetest.Fake) {
		return func(_ *testing.T, _ *task.Run, fake *queuetest.Fake) {
			fake.Inject(queuetest.Fault{Endpoint: "createArtifact", Kind: queuetest.FaultStatus, Status: 403, Skip: skip})
		}
	}
	for how, spoil := range map[string]func(*testing.T, *task.Run, *queuetest.Fake){
		"the queue refuses the log":              refuse(0),
		"the queue refuses the certificate":      refuse(1),
		"the queue refuses the signature":        refuse(2),
		"the queue refuses the clear-signed one": refuse(3),
		"the queue refuses the provenance":       refuse(4),
		"the storage refuses": func(_ *testing.T, _ *task.Run, fake *queuetest.Fake) {
			fake.Inject(queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultStatus, Status: 403, Skip: 2})
		},
		"the task deleted the run's directory": func(t *testing.T, run *task.Run, _ *queuetest.Fake) {
			if err := os.RemoveAll(run.Dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			run, fake := newRun(t, "{}")
			spoil(t, run, fake)
			err := complete(t, newConfig(t), run)
			if task.ResolutionOf(err) != task.ResourceUnavailable || !strings.Contains(err.Error(), "without which the task must not complete") {
				t.Errorf("Seal returned %v", err)
			}
		})
	}
}

// TestAbort ends the context while the certificate is published.
func TestAbort(t *testing.T) {
	t.Parallel()
	run, fake := newRun(t, "{}")
	fake.Inject(queuetest.Fault{Endpoint: "createArtifact", Kind: queuetest.FaultHang, Skip: 1})
	hooks := attach(t, newConfig(t), run)
	if err := run.Log.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, abort := context.WithCancelCause(t.Context())
	cause := task.Errorf(task.Canceled, "the claim is lost")
	go func() {
		defer abort(cause)
		_ = fake.WaitCalls(ctx, func(calls []queuetest.Call) bool {
			return slices.ContainsFunc(calls, func(c queuetest.Call) bool { return c.Name == cot.BodyName })
		})
	}()
	if err := hooks.Seal(ctx); err != cause {
		t.Errorf("Seal returned %v", err)
	}
}

// TestC5Outcome lets runs end in every way.
func TestC5Outcome(t *testing.T) {
	t.Parallel()
	for so, outcome := range map[task.Resolution]string{
		task.Completed: "completed", task.Failed: "failed", task.WorkerShutdown: "exception/worker-shutdown",
		task.MalformedPayload: "exception/malformed-payload", task.IntermittentTask: "exception/intermittent-task",
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t)
			run, fake := newRun(t, `{"digits": 1.50, "text": "<é>"}`)
			run.Resolution = so
			if err := complete(t, config, run); err != nil {
				t.Fatal(err)
			}
			c := open(t, config, fake, run)
			if c.TaskID != run.TaskID || c.RunID != run.RunID || c.WorkerGroup != "g" || c.WorkerID != "w" {
				t.Errorf("it is about %+v", c)
			}
			sum, err := cot.DefinitionSHA256(run.Claim().Task)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]json.RawMessage{
				"outcome": quoted(t, outcome), "engine": quoted(t, "multiuser"), "workerVersion": quoted(t, "1.2.3"),
				"interactive": json.RawMessage("false"), "taskDefinitionSha256": quoted(t, sum),
			}
			if diff := cmp.Diff(want, c.Environment); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
			if certified, err := cot.DefinitionSHA256(c.Task); err != nil || certified != sum || !bytes.Contains(c.Task, []byte(`"digits": 1.50`)) {
				t.Errorf("%v, the task is %s", err, c.Task)
			}
		})
	}
}

func quoted(t *testing.T, text string) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestEnvironment shows what else is in it, when there is something to say.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	config.Machine = Machine{PublicIP: "192.0.2.1", InstanceType: "m7.large", Region: "eu"}
	config.Readable, config.AllowReadable, config.ThrowAway = true, true, true
	run, fake := newRun(t, "{}")
	run.Payload.Features.Interactive.On = true
	if err := complete(t, config, run); err != nil {
		t.Fatal(err)
	}
	got := open(t, config, fake, run).Environment
	delete(got, "taskDefinitionSha256")
	want := map[string]json.RawMessage{
		"outcome": quoted(t, "completed"), "engine": quoted(t, "multiuser"), "workerVersion": quoted(t, "1.2.3"),
		"interactive": json.RawMessage("true"), "keysReadableByTasks": json.RawMessage("true"), "throwAwayKeys": json.RawMessage("true"),
		"publicIpAddress": quoted(t, "192.0.2.1"), "instanceType": quoted(t, "m7.large"), "region": quoted(t, "eu"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	view, _ := fake.Run(run.TaskID, run.RunID)
	if log := string(decoded(t, view.Artifact(cot.LogName))); !strings.Contains(log, "[taskcluster:warn ") || !strings.Contains(log, "chainOfTrustKeysReadableByTasks") {
		t.Errorf("the task's author is not told that tasks can read the keys: %q", log)
	}
}

// TestImage shows that a certificate names the image that was used, and none
// if the payload only asks for one, or the task says so itself.
func TestImage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image *task.Image
		want  map[string]string
	}{
		"none":        {nil, map[string]string{"imageHash": "", "imageArtifactHash": ""}},
		"by name":     {&task.Image{Hash: "sha256:abc"}, map[string]string{"imageHash": `"sha256:abc"`, "imageArtifactHash": ""}},
		"an artifact": {&task.Image{Hash: "sha256:abc", ArtifactHash: "sha256:def"}, map[string]string{"imageHash": `"sha256:abc"`, "imageArtifactHash": `"sha256:def"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t)
			run, fake := newRun(t, "{}")
			run.Payload.Image, run.Image = &payload.Image{Name: "ubuntu:24.04"}, test.image
			said := filepath.Join(run.Session.Dir, AdditionalData)
			if err := errors.Join(os.MkdirAll(filepath.Dir(said), 0o700), os.WriteFile(said, []byte(`{"environment":{"imageHash":"sha256:666"}}`), 0o600)); err != nil {
				t.Fatal(err)
			}
			if err := complete(t, config, run); err != nil {
				t.Fatal(err)
			}
			environment := open(t, config, fake, run).Environment
			for key, want := range test.want {
				if got := string(environment[key]); got != want {
					t.Errorf("%s is %s, not %s", key, got, want)
				}
			}
		})
	}
}

// TestRunThatWasNotPrepared has no session, as after a malformed payload.
func TestRunThatWasNotPrepared(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	config.Always = true
	run, fake := newRun(t, "{}")
	run.Session, run.Payload = nil, payload.Default()
	hooks := attach(t, config, run)
	run.Resolution = task.MalformedPayload
	if err := errors.Join(hooks.Finish(t.Context(), run.Resolution), run.Log.Close(), hooks.Seal(t.Context())); err != nil {
		t.Fatal(err)
	}
	if c := open(t, config, fake, run); string(c.Environment["outcome"]) != `"exception/malformed-payload"` {
		t.Errorf("it says %s", c.Environment["outcome"])
	}
}

// TestWhoGetsACertificate shows for which tasks and settings there is one.
func TestWhoGetsACertificate(t *testing.T) {
	t.Parallel()
	full := newConfig(t)
	with := func(change func(*Config)) Config {
		c := full
		change(&c)
		return c
	}
	for how, row := range map[string]struct {
		config Config
		asks   bool
		gets   bool
		refuse string // part of the message
	}{
		"asked":                     {full, true, true, ""},
		"not asked":                 {full, false, false, ""},
		"always":                    {with(func(c *Config) { c.Always = true }), false, true, ""},
		"no keys":                   {Config{}, true, false, "pool test-provisioner/test-worker has no key to sign certificates with"},
		"no keys, not asked":        {Config{}, false, false, ""},
		"only ed25519":              {with(func(c *Config) { c.Keys.OpenPGP = nil }), true, true, ""},
		"only OpenPGP":              {with(func(c *Config) { c.Keys.Ed25519 = nil }), true, true, ""},
		"readable":                  {with(func(c *Config) { c.Readable = true }), true, false, "ask the owner of this one"},
		"readable, not asked":       {with(func(c *Config) { c.Readable = true }), false, false, ""},
		"readable, and allowed":     {with(func(c *Config) { c.Readable, c.AllowReadable = true, true }), true, true, ""},
		"throw-away keys":           {with(func(c *Config) { c.ThrowAway = true }), true, true, ""},
		"allowed, but not readable": {with(func(c *Config) { c.AllowReadable = true }), true, true, ""},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			run, _ := newRun(t, "{}")
			run.Payload.Features.ChainOfTrust = row.asks
			hooks, err := New(row.config).Attach(run)
			if (hooks.Seal != nil) != row.gets {
				t.Errorf("got %+v", hooks)
			}
			if row.refuse == "" && err != nil || row.refuse != "" && (task.ResolutionOf(err) != task.MalformedPayload || !strings.Contains(err.Error(), row.refuse)) {
				t.Errorf("Attach returned %v", err)
			}
		})
	}
	if New(full).Name() != "chainOfTrust" {
		t.Error("the payload does not know the name")
	}
}

// TestDefinitionThatCannotBeCertified has a string that gpg would cut off.
func TestDefinitionThatCannotBeCertified(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	run, _ := newRun(t, `{"long": "`+strings.Repeat("x", 20_000)+`"}`)
	if _, err := New(config).Attach(run); task.ResolutionOf(err) != task.MalformedPayload || !errors.Is(err, cot.ErrLongLine) {
		t.Errorf("Attach returned %v", err)
	}
	config.Keys.OpenPGP = nil
	if _, err := New(config).Attach(run); err != nil {
		t.Errorf("without OpenPGP: %v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for how, row := range map[string]struct {
		config Config
		want   string // part of the message
	}{
		"nothing":                         {Config{}, ""},
		"a key":                           {Config{Ed25519Location: "k"}, ""},
		"a key that tasks can read":       {Config{Ed25519Location: "k", Readable: true}, ""},
		"always":                          {Config{OpenPGPLocation: "k", Always: true}, ""},
		"always without a key":            {Config{Always: true}, "there is no key to sign with"},
		"always with throw-away keys":     {Config{Always: true, ThrowAway: true}, ""},
		"always with keys tasks can read": {Config{Ed25519Location: "k", Always: true, Readable: true}, "chainOfTrustKeysReadableByTasks: true"},
		"always, and allowed":             {Config{Ed25519Location: "k", Always: true, Readable: true, AllowReadable: true}, ""},
	} {
		err := row.config.Check()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v", how, err)
		}
	}
}
