package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/ecdh"
	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcsecrets"
	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/taskfile"
)

// scene is a story that is played.
type scene struct {
	story
	t         *testing.T
	dir       string
	key       *gpg.Key
	secrets   map[string]string // for encryptedEnv
	plain     string
	holder    *holder
	root      string
	client    *queue.Client
	known     known
	canaries  []canary
	evidence  evidence
	meanwhile evidence
	environ   []string
	readers   sync.WaitGroup
	logs      sync.Map // of runs as readers saw them
	tasks     map[string]string
	given     *given
}

func newScene(t *testing.T, s story) *scene {
	t.Helper()
	c := &scene{story: s, t: t, dir: t.TempDir(), plain: rand.Text(), tasks: map[string]string{}}
	c.known.canaries = map[string]canary{}
	for _, name := range []string{"tmp", "home"} {
		if err := os.Mkdir(filepath.Join(c.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c.environ = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir + "/home", "TMPDIR=" + c.dir + "/tmp", "XDG_CACHE_HOME=" + c.dir + "/home",
		"GORACE=atexit_sleep_ms=0", "GOTRACEBACK=system",
	}
	c.inject("plain", c.plain)
	c.makeVariables()
	c.makeKey()
	c.makeSigningKey()
	c.giveMounts()
	return c
}

// inject makes a secret one to look for.
func (c *scene) inject(name, value string, cores ...string) string {
	c.canaries = append(c.canaries, newCanary(name, value, cores...))
	return value
}

func (c *scene) makeVariables() {
	a, b, d := rand.Text(), rand.Text(), rand.Text()
	c.secrets = map[string]string{
		"SIMPLE": c.inject("variable SIMPLE", rand.Text()),
		"CUT":    c.inject("variable CUT", rand.Text()),
		"QUOTED": c.inject("variable QUOTED", `q" `+a+` \'$<&>/%+ äö😀`+"\t"+b, a, b),
		"LINES":  c.inject("variable LINES", a+d+"\n"+b+a+"\n"+d+b, a+d, b+a, d+b),
	}
}

// crashes tells whether the worker ends without being able to do anything more.
func (c *scene) crashes() bool { return c.end == syscall.SIGKILL || c.end == syscall.SIGQUIT }

// makeKey makes the worker's key, and looks for the private numbers in it and
// for the lines of its file.
func (c *scene) makeKey() {
	t := c.t
	var err error
	if c.key, err = gpg.Generate(gpg.Spec{Name: "pool", Algorithm: gpg.Curve25519, Encryption: true, Now: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	armored, err := c.key.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.dir+"/worker.key", armored, 0o400); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(armored)) {
		if len(line) > 60 && !strings.Contains(line, " ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	c.inject("key as a file", string(armored), lines...)
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil || len(lines) == 0 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, part := range []*packet.PrivateKey{entities[0].PrivateKey, entities[0].Subkeys[0].PrivateKey} {
		switch private := part.PrivateKey.(type) {
		case *eddsa.PrivateKey:
			c.inject("key to sign", string(private.D))
		case *ecdh.PrivateKey:
			c.inject("key to decrypt", string(private.D))
		default:
			t.Fatalf("a key of another kind: %T", private)
		}
	}
}

func (c *scene) configure(settings string) {
	pool, kind, _ := strings.Cut(queuetest.TaskQueueID, "/")
	write(c.t, c.dir+"/worker.yml", fmt.Sprintf(
		"provisionerId: %s\nworkerType: %s\ncapacity: 9\ncancelCheckSecs: 1\ngracePeriodSecs: 2\nencryptedEnvKeyLocation: worker.key\ned25519SigningKeyLocation: ed25519.key\n"+
			"chainOfTrustKeysReadableByTasks: true\nmetricsAddress: 127.0.0.1:0\ntracesURL: %s/traces\n%s", pool, kind, c.given.server.URL, settings))
}

// start starts a worker, and returns a function that sends it a signal, calls
// another function and waits for its end.
func (c *scene) start(log string) (end func(with syscall.Signal, during func())) {
	t := c.t
	t.Helper()
	out, err := os.Create(filepath.Join(c.dir, log))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	worker := exec.CommandContext(t.Context(), "loudly", "worker.yml")
	worker.Dir, worker.Env, worker.Stdout, worker.Stderr = c.dir, c.environ, out, out
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = worker.Wait() // its exit codes are other tests' matter
	}()
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		<-ended
	})
	c.root = c.await(log, `claiming tasks.*rootURL=(http://[0-9.:]+)`)
	owner := queue.Credentials{ClientID: "owner", AccessToken: "x"}
	if c.embedded {
		if owner, err = local.ReadCredentials(c.dir + "/queue"); err != nil {
			t.Fatal(err)
		}
	}
	c.client = &queue.Client{RootURL: c.root, Credentials: func() queue.Credentials { return owner }, HTTP: queue.NewHTTPClient()}
	return func(with syscall.Signal, during func()) {
		if err := worker.Process.Signal(with); err != nil {
			t.Error(err)
		}
		during()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the worker does not end")
		}
	}
}

// await waits until a file matches and returns the first group.
func (c *scene) await(file, pattern string) string {
	c.t.Helper()
	groups, err := awaitMatch(filepath.Join(c.dir, file), pattern)
	if err != nil {
		c.t.Fatal(err)
	}
	return groups[len(groups)-1]
}

// ownKeys are those that the embedded queue made for itself.
func (c *scene) ownKeys() {
	t := c.t
	for name, file := range map[string]string{"owner's token": "credentials.json", "queue's worker's token": "worker-credentials.json"} {
		var one struct{ AccessToken string }
		text, err := os.ReadFile(filepath.Join(c.dir, "queue", file))
		if err == nil {
			err = json.Unmarshal(text, &one)
		}
		if err != nil || one.AccessToken == "" {
			t.Fatalf("%s: %v", file, err)
		}
		c.inject(name, one.AccessToken)
	}
	text, err := os.ReadFile(c.dir + "/queue/queue.db")
	if err != nil {
		t.Fatal(err)
	}
	c.known.learnShells(text)
	db, err := bbolt.Open(c.dir+"/queue/queue.db", 0o600, &bbolt.Options{ReadOnly: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("settings")).ForEach(func(name, value []byte) error {
			c.inject("setting "+string(name), strings.Trim(string(value), `"`))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// putSecret gives the embedded queue a secret that tasks may read.
func (c *scene) putSecret(name string, value map[string]string) {
	owner := c.client.Credentials()
	secrets := tcsecrets.New(&tcclient.Credentials{ClientID: owner.ClientID, AccessToken: string(owner.AccessToken)}, c.root)
	text, err := json.Marshal(value)
	if err == nil {
		err = secrets.Set(name, &tcsecrets.Secret{Expires: tcclient.Time(time.Now().Add(time.Hour)), Secret: text})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// add creates a task that confesses, with some of its payload changed, and
// reads its live log.
func (c *scene) add(name, mode string, change map[string]any) {
	t := c.t
	taskID := taskfile.NewID()
	c.tasks[name] = taskID
	command := append([]string{"confess", mode, c.plain}, slices.Sorted(maps.Keys(c.secrets))...)
	payload := map[string]any{
		"command": [][]string{command}, "maxRunTime": 120, "env": map[string]string{},
		"encryptedEnv": c.seal(name), "mounts": c.given.mounts(),
		"features": map[string]any{
			"taskclusterProxy": true, "chainOfTrust": true, "interactive": true, "phaseTimings": true, "resourceMonitor": map[string]bool{"artifact": true},
		},
	}
	maps.Copy(payload, change)
	payload["env"].(map[string]string)["HOLDER"] = c.holder.url
	pool, kind, _ := strings.Cut(queuetest.TaskQueueID, "/")
	now := time.Now()
	definition, err := json.Marshal(map[string]any{
		"provisionerId": pool, "workerType": kind, "payload": payload,
		"scopes":  []string{"secrets:get:project/read", "secrets:set:project/write/*", "generic-worker:cache:given"},
		"created": tcclient.Time(now), "deadline": tcclient.Time(now.Add(time.Hour)),
		"metadata": map[string]any{"name": name, "description": "", "owner": "nobody@example.com", "source": "https://example.com"},
	})
	if err == nil {
		_, err = c.client.CreateTask(t.Context(), taskID, definition)
	}
	if err != nil {
		t.Fatal(err)
	}
	if mode != completes || name == completes {
		c.readers.Go(func() { c.read(name, taskID) })
	}
}

// seal encrypts the variables of a task, and for the one that clashes another.
func (c *scene) seal(name string) []string {
	taskID, secrets := c.tasks[name], maps.Clone(c.secrets)
	switch name {
	case foreign:
		taskID = taskfile.NewID()
	case clashes:
		secrets[c.plain] = secrets["SIMPLE"]
	}
	var items []string
	for name, value := range secrets {
		item, err := encryptedenv.Seal(c.key, encryptedenv.Message{
			TaskID: taskID, Name: name, Value: mask.Secret(value),
			Start: float64(time.Now().Add(-time.Minute).UnixMilli()), End: float64(time.Now().Add(time.Hour).UnixMilli()),
		})
		if err != nil {
			c.t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

// read follows a live log from its beginning to its end, be it sudden. There is
// nobody to tell when it begins.
func (c *scene) read(name, taskID string) {
	address := fmt.Sprintf("%s/api/queue/v1/task/%s/runs/0/artifacts/public/logs/live.log", c.root, taskID)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for c.t.Context().Err() == nil {
		if answer, err := client.Get(address); err == nil {
			text, _ := io.ReadAll(answer.Body) // what was read is what counts
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				c.evidence.add("live log", text)
				c.logs.Store(name, string(text))
				return
			}
		}
		<-ticker.C
	}
}
