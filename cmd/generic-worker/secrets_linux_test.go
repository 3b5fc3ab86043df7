package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"
)

// story is one worker from its start to its end, and where its own secrets are.
type story struct {
	name     string
	embedded bool
	end      syscall.Signal // while a task runs
	// credentials tells the worker its credentials: by lines for its
	// configuration, by variables, by files.
	credentials func(t *testing.T, dir, token, certificate string) (settings string, environ []string)
	permissions []permission // for these credentials
}

// TestI6NoSecretLeaks gives workers random secrets in each way there is, has
// tasks print all they can get, and looks for the secrets wherever the run left
// something: in files, requests, logs as readers saw them, command lines and
// environments. What is not secret is printed in the same way, and has to be
// found in all of these places.
func TestI6NoSecretLeaks(t *testing.T) {
	t.Parallel()
	seen := watchProcesses(t)
	for _, s := range []story{
		{
			name: "credentials in the configuration", end: syscall.SIGTERM,
			credentials: func(_ *testing.T, _, token, certificate string) (string, []string) {
				return fmt.Sprintf("accessToken: %s\ncertificate: '%s'\n", token, certificate), nil
			},
			permissions: []permission{{"file worker.yml", "worker's .*", "the operator wrote it there", true}},
		},
		{
			name: "credentials in the environment", end: syscall.SIGINT,
			credentials: func(_ *testing.T, _, token, certificate string) (string, []string) {
				return "", []string{"GENERIC_WORKER_ACCESS_TOKEN=" + token, "GENERIC_WORKER_CERTIFICATE=" + certificate}
			},
			permissions: []permission{{"environment of the worker", "worker's .*", "the operator wrote it there", os.Getuid() == 0}},
		},
		{
			name: "credentials in files, killed", end: syscall.SIGKILL,
			credentials: func(t *testing.T, dir, token, certificate string) (string, []string) {
				write(t, dir+"/token", token+"\n")
				write(t, dir+"/certificate", certificate+"\n")
				return "", []string{"GENERIC_WORKER_ACCESS_TOKEN_FILE=" + dir + "/token", "GENERIC_WORKER_CERTIFICATE_FILE=" + dir + "/certificate"}
			},
			permissions: []permission{
				{"file token", "worker's token", "the operator wrote it there", true},
				{"file certificate", "worker's signature", "the operator wrote it there", true},
			},
		},
		{name: "embedded queue", embedded: true, end: syscall.SIGTERM, permissions: ofEmbedded},
		{name: "embedded queue, crashed", embedded: true, end: syscall.SIGQUIT, permissions: ofEmbedded},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			newScene(t, s).play(seen)
		})
	}
}

// ofEmbedded is what the embedded queue has to keep.
var ofEmbedded = []permission{
	{"file queue/credentials.json", "owner's token", "people read it there", true},
	{"file queue/worker-credentials.json", "queue's worker's token", "it outlives the process", true},
	{"file queue/queue.db", "read .*|written", "it is the secrets service", true},
	{"file queue/queue.db", "setting .*", "it outlives the process", true},
}

// Others are there always.
var always = []permission{
	{"file ed25519.key", "seed of certificates", "the operator made it", true},
	{"file worker.key", "key .*", "the operator made it", true},
	{"environment of a task", "variable .*", "the task asked for them", true},
	{"(file|request|live|command|environment of a task).*", "plain", "it is no secret", false},
	{"live log", "plain", "it is printed", true},
	{"command line", "plain", "it is an argument", true},
	{"environment of a task", "plain", "it is a variable of one", false},
	{"file worker.log", "plain", "an error names it", true},
}

var meanwhile = []permission{
	{"file state/running/.*", "(token|signature) of .*", "who starts after a kill reports with them", true},
	{"file state/runs/.*/live_backing.log", "plain", "it is printed", true},
	{"file tasks/.*/note", "plain", "the task wrote it", true},
}

var ofFake = []permission{
	{"authorization of .*", "(worker's )?signature.*", "the protocol has certificates in ext", true},
	{"request PUT /api/secrets/.*", "written", "the task sends it", true},
	{"request PUT /storage/.* \\(gzip\\)", "plain", "it is in the log", true},
}

// play starts the worker, has all the tasks run, ends it and looks for secrets.
func (c *scene) play(seen *processes) {
	written := c.inject("written", rand.Text())
	readable := map[string]string{"ONE": c.inject("read ONE", rand.Text())}
	core := rand.Text()
	readable["TWO"] = c.inject("read TWO", "x\"y\n"+core, core)
	c.holder = newHolder(c.t, c.dir+"/state", written, c.known.issue)
	if c.embedded {
		c.configure("rootURL: local\nlocalQueue: {listen: '127.0.0.1:0', dataDir: queue}\n")
	} else {
		token, signature := c.inject("worker's token", rand.Text()+rand.Text()), c.inject("worker's signature", rand.Text())
		r := newRecorder(c.t, readable, &c.evidence, c.known.issue)
		r.linked = c.known.learnShells
		certificate := fmt.Sprintf(`{"version":1,"scopes":["*"],"start":1,"expiry":9999999999999,"seed":"%s","signature":"%s"}`, rand.Text(), signature)
		settings, environ := c.credentials(c.t, c.dir, token, certificate)
		c.configure("rootURL: " + r.URL + "\nclientId: worker\nworkerGroup: g\nworkerId: w\n" + settings)
		c.environ = append(c.environ, environ...)
	}
	end := c.start("worker.log")
	if c.embedded {
		c.putSecret("project/read", readable)
	}
	c.runTasks(seen)
	c.endWith(end)
	c.readers.Wait()
	c.evidence.merge(&seen.evidence)
	c.evidence.addFiles(c.t, c.dir)
	c.judge()
	c.checkLogs()
}

const (
	late     = "late"     // runs into its time limit
	canceled = "canceled" // is canceled while it runs
	cut      = "cut"      // runs when the worker ends
	clashes  = "clashes"  // has a variable twice
	foreign  = "foreign"  // has variables of another task
	invalid  = "invalid"  // has no valid payload
)

// runTasks runs tasks until all but the one to be cut off have ended.
func (c *scene) runTasks(seen *processes) {
	ends := holds
	if c.crashes() {
		ends = halves
	}
	c.add(completes, completes, nil)
	c.add(fails, fails, nil)
	c.add(late, holds, map[string]any{"maxRunTime": 2})
	c.add(canceled, halves, nil)
	c.add(cut, ends, nil)
	c.add(clashes, completes, map[string]any{"env": map[string]string{c.plain: "x"}})
	c.add(foreign, completes, nil)
	c.add(invalid, completes, map[string]any{"command": "confess", "nothing": 1})
	for _, name := range []string{completes, fails, canceled, cut} {
		c.awaitTold(name, 0)
	}
	for name, mounts := range c.given.faulty() {
		c.add(name, completes, map[string]any{"mounts": mounts})
	}
	c.operate()
	seen.look()
	c.meanwhile.addFiles(c.t, c.dir)
	c.release(completes, 0)
	c.release(fails, 0)
	if _, err := c.client.CancelTask(c.t.Context(), c.tasks[canceled]); err != nil {
		c.t.Fatal(err)
	}
	for name, resolution := range map[string]string{
		completes: "completed", fails: "failed", late: "failed", canceled: "exception/canceled",
		clashes: "exception/malformed-payload", foreign: "exception/malformed-payload", invalid: "exception/malformed-payload",
		astray: "failed", encoded: "exception/malformed-payload", twice: "exception/malformed-payload",
		withPassword: "exception/malformed-payload", noAddress: "exception/malformed-payload", noArchive: "failed",
	} {
		c.awaitEnd("worker.log", name, 0, resolution)
	}
}

func (c *scene) awaitEnd(log, name string, runID int, resolution string) {
	c.t.Helper()
	c.await(log, fmt.Sprintf(`"run ended" taskId=%s runId=%d .*resolution=%s`, c.tasks[name], runID, resolution))
}

func (c *scene) awaitTold(name string, runID int) {
	c.t.Helper()
	select {
	case <-c.holder.channel(c.holder.told, c.run(name, runID)):
	case <-time.After(patience):
		log, _ := os.ReadFile(c.dir + "/worker.log")
		text, _ := c.logs.Load(name)
		c.t.Fatalf("the task that %s has not confessed:\n%s\n%s", name, log, text)
	}
}

func (c *scene) run(name string, runID int) string { return fmt.Sprintf("%s_%d", c.tasks[name], runID) }

func (c *scene) release(name string, runID int) {
	close(c.holder.channel(c.holder.free, c.run(name, runID)))
}

// endWith ends the worker while a task runs. After one that was killed another
// one runs that task again.
func (c *scene) endWith(end func(syscall.Signal, func())) {
	nothing := func() {}
	switch c.end {
	case syscall.SIGINT:
		end(c.end, func() { c.release(cut, 0) })
		c.awaitEnd("worker.log", cut, 0, "completed")
	case syscall.SIGKILL, syscall.SIGQUIT:
		end(c.end, nothing)
		c.meanwhile.addFiles(c.t, c.dir)
		end = c.start("next.log")
		c.awaitTold(cut, 1)
		c.release(cut, 1)
		c.awaitEnd("next.log", cut, 1, "completed")
		end(syscall.SIGTERM, nothing)
	default:
		end(c.end, nothing)
		c.awaitEnd("worker.log", cut, 0, "exception/worker-shutdown")
	}
}

// judge looks for everything everywhere.
func (c *scene) judge() {
	if c.embedded {
		c.ownKeys()
	}
	all := append(c.known.all(), c.canaries...)
	permissions := slices.Concat(always, ofMounts, c.permissions)
	if !c.embedded {
		permissions = append(permissions, ofFake...)
	}
	hits := c.evidence.scan(all)
	judge(c.t, hits, permissions)
	for form := range formsOf(c.plain) {
		if !slices.Contains(hits, hit{"plain", form, "live log"}) {
			c.t.Errorf("what is no secret is not found as %s in the live log, where it is printed", form)
		}
	}
	judge(c.t, c.meanwhile.scan(all), slices.Concat(optional(permissions), meanwhile, whileMounted))
}

func optional(permissions []permission) []permission {
	all := slices.Clone(permissions)
	for i := range all {
		all[i].needed = false
	}
	return all
}

// checkLogs makes sure that the secrets were printed at all.
func (c *scene) checkLogs() {
	for _, name := range []string{completes, fails} {
		stored, _ := c.logs.Load(name)
		log, _ := stored.(string)
		for _, secret := range []string{"CUT", "LINES", "ONE", "QUOTED", "SIMPLE", "TWO", "signature", "token"} {
			for style := range styles {
				line := regexp.MustCompile("(?m)^" + secret + " as " + style + `: .{0,6}\[redacted\]`)
				if !line.MatchString(log) {
					c.t.Errorf("%s as %s is not in the log of the task that %s:\n%s", secret, style, name, log)
					return
				}
			}
		}
	}
}
