package main

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// given are secrets that come to tasks in their mounts, and where an operator
// looks meanwhile.
type given struct {
	server  *httptest.Server
	archive []byte
	// Secrets of URLs: what payloads have, where it leads, and where to without
	// finding anything.
	signature, redirect, lost string
	raw, encoded, broken      string
	traced                    func(body []byte)
}

// giveMounts makes secrets for the mounts of tasks and a server that knows what
// is in none of the payloads.
func (c *scene) giveMounts() {
	g := &given{
		signature: c.inject("signature of a URL", rand.Text()), redirect: c.inject("bewit", rand.Text()), lost: c.inject("bewit of nothing", rand.Text()),
		traced: func(body []byte) { c.evidence.add("traces", body) },
		raw:    c.inject("inline", rand.Text()), encoded: c.inject("inline, encoded", rand.Text()), broken: c.inject("inline, broken", rand.Text()),
	}
	var archive bytes.Buffer
	to := tar.NewWriter(&archive)
	err := to.WriteHeader(&tar.Header{Name: "x", Mode: 0o644, Size: 1, Typeflag: tar.TypeReg})
	if err == nil {
		_, err = to.Write([]byte("x"))
	}
	if err == nil {
		err = to.Close()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	g.archive = archive.Bytes()
	g.server = httptest.NewServer(g)
	c.t.Cleanup(g.server.Close)
	c.given = g
}

// ServeHTTP leads who has the signature to what is wanted, by a URL with another
// secret in it.
func (g *given) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch query := r.URL.Query(); {
	case r.Method == http.MethodPost:
		body, _ := io.ReadAll(r.Body) // a part of it is as good
		g.traced(body)
	case r.URL.Path == "/signed" && query.Get("signature") == g.signature:
		http.Redirect(w, r, "/found?bewit="+g.redirect, http.StatusFound)
	case r.URL.Path == "/astray" && query.Get("signature") == g.signature:
		http.Redirect(w, r, "/nothing?bewit="+g.lost, http.StatusFound)
	case r.URL.Path == "/found" && query.Get("bewit") == g.redirect:
		_, _ = w.Write(g.archive)
	default:
		http.NotFound(w, r)
	}
}

func (g *given) url(path string) map[string]string {
	return map[string]string{"url": g.server.URL + path + "?signature=" + g.signature}
}

// mounts are those of all tasks.
func (g *given) mounts() []any {
	return []any{
		map[string]any{"file": "given/inline", "content": map[string]string{"raw": g.raw}},
		map[string]any{"file": "given/encoded", "content": map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(g.encoded))}},
		map[string]any{"file": "given/file", "content": g.url("/signed")},
		map[string]any{"directory": "given/tree", "format": "tar", "content": g.url("/signed")},
		map[string]any{"directory": "given/cache", "cacheName": "given", "format": "tar", "content": g.url("/signed")},
	}
}

// faulty are mounts that no task gets.
func (g *given) faulty() map[string][]any {
	return map[string][]any{
		astray:       {map[string]any{"file": "f", "content": g.url("/astray")}},
		encoded:      {map[string]any{"file": "f", "content": map[string]string{"base64": g.broken + "!"}}},
		twice:        {map[string]any{"file": "f", "content": map[string]string{"raw": g.broken, "base64": g.broken, "url": "http://u:" + g.broken + "@x"}}},
		withPassword: {map[string]any{"file": "f", "content": map[string]string{"url": "http://u:" + g.broken + "@127.0.0.1/"}}},
		noAddress:    {map[string]any{"file": "f", "content": map[string]string{"url": "http://127.0.0.1:port/?" + g.broken}}},
		noArchive:    {map[string]any{"directory": "d", "format": "zip", "content": map[string]string{"raw": g.raw}}},
	}
}

// Tasks that do not get what they want mounted.
const (
	astray       = "astray"        // has a URL that leads nowhere
	encoded      = "encoded"       // has content that is not base64
	twice        = "twice"         // has several contents
	withPassword = "with password" // has a URL with one
	noAddress    = "no address"    // has a URL that is none
	noArchive    = "no archive"    // has an archive that is none
)

// ofMounts is where these secrets have to be.
var ofMounts = []permission{
	{"request (PUT|POST) /api/queue/v1/task/[^/]*", "(signature of a URL|inline.*)", "it is in the payload", false},
	{"file queue/queue.db", "(signature of a URL|inline.*)", "it is in the payload", false},
	{"request (PUT|POST) /api/queue/.*/artifacts/private.*shell.html", "shell of .*", "people find the shell there", false},
	{"file queue/.*", "shell of .*", "people find the shell there", false},
	{".* \\(certificate\\)", "(signature of a URL|inline.*)", "it has the task's definition", true},
}

// whileMounted is where they are while a task has them.
var whileMounted = []permission{
	{"file tasks/.*/given/inline", "inline", "the task reads it there", true},
	{"file tasks/.*/given/encoded", "inline, encoded", "the task reads it there", true},
}

var shellAddress = regexp.MustCompile(`/shell/([A-Z2-7]{26})\b`)

// learnShells makes the secrets of shells, which the worker chooses, ones to look for.
func (k *known) learnShells(text []byte) {
	for _, form := range []string{string(text), strings.NewReplacer("%2F", "/", "%2f", "/").Replace(string(text))} {
		for _, found := range shellAddress.FindAllStringSubmatch(form, -1) {
			k.mu.Lock()
			k.canaries[found[1]] = newCanary("shell of a run", found[1])
			k.mu.Unlock()
		}
	}
}

// operate does what operators and people do meanwhile: somebody uses a shell in
// every way, and metrics are looked at.
func (c *scene) operate() {
	t := c.t
	for _, page := range []string{"/metrics", "/healthz", "/readyz", "/"} {
		answer, err := http.Get("http://" + c.await("worker.log", `metrics.*address=([0-9.:]+)`) + page)
		if err != nil {
			t.Error(err)
			continue
		}
		text, _ := io.ReadAll(answer.Body) // what was read is what counts
		_ = answer.Body.Close()
		c.evidence.add("metrics", text)
	}
	for _, args := range []string{"cache ls --config worker.yml", "cache why --config worker.yml given", "status --config worker.yml"} {
		command := exec.CommandContext(t.Context(), "generic-worker", strings.Fields(args)...)
		command.Dir, command.Env = c.dir, c.publicEnviron()
		out, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
		c.evidence.add("output of "+args, out)
	}
	if !c.embedded { // whose owner's token is a secret
		c.useShell()
	}
}

// useShell opens a shell of a task and leaves it, and asks for one that there is
// not.
func (c *scene) useShell() {
	for _, name := range []string{completes, invalid} {
		command := exec.CommandContext(c.t.Context(), "generic-worker", "task", "shell", "--run", "0", c.tasks[name])
		command.Dir, command.Stdin = c.dir, strings.NewReader("echo is open; exit\n")
		owner := c.client.Credentials()
		command.Env = append(c.publicEnviron(), "TASKCLUSTER_ROOT_URL="+c.root, "TASKCLUSTER_CLIENT_ID="+owner.ClientID, "TASKCLUSTER_ACCESS_TOKEN="+string(owner.AccessToken))
		out, err := command.CombinedOutput()
		if (err == nil) != (name == completes) {
			c.t.Errorf("a shell of the task that %s: %v\n%s", name, err, out)
		}
		c.evidence.add("output of task shell", out)
	}
}

// publicEnviron is the environment of programs that need not know what the
// worker knows.
func (c *scene) publicEnviron() []string {
	public := slices.DeleteFunc(slices.Clone(c.environ), func(variable string) bool { return strings.HasPrefix(variable, "GENERIC_WORKER_") })
	return append(public, "GENERIC_WORKER_ACCESS_TOKEN=x")
}

// makeSigningKey makes the key of certificates.
func (c *scene) makeSigningKey() {
	command := exec.CommandContext(c.t.Context(), "generic-worker", "new-ed25519-keypair", "--file", "ed25519.key")
	command.Dir, command.Env = c.dir, c.environ
	out, err := command.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(c.dir + "/ed25519.key")
	if err != nil {
		c.t.Fatal(err)
	}
	c.inject("seed of certificates", strings.TrimSpace(string(text)))
}
