package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/taskfile"
)

// TestS3CommandsShowNoSecrets gives secrets to each command that takes some, in
// right and in wrong ways, and looks for them in what it prints and leaves.
func TestS3CommandsShowNoSecrets(t *testing.T) {
	t.Parallel()
	seen := watchProcesses(t)
	key, err := gpg.Generate(gpg.Spec{Name: "pool", Algorithm: gpg.Curve25519, Encryption: true, Now: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	secret, second := rand.Text()+rand.Text(), rand.Text()
	fake := queuetest.StartFake(t, queuetest.FakeOptions{LongPoll: time.Second})
	config := fmt.Sprintf("rootURL: %s\nclientId: c\nworkerType: x\nworkerId: w\nnumberOfTasksToRun: 1\n", fake.URL)
	id := taskfile.NewID()
	item, err := encryptedenv.Seal(key, encryptedenv.Message{
		TaskID: id, Name: "VALUE", Value: mask.Secret(secret),
		Start: float64(time.Now().Add(-time.Minute).UnixMilli()), End: float64(time.Now().Add(time.Hour).UnixMilli()),
	})
	if err != nil {
		t.Fatal(err)
	}
	task := fmt.Sprintf("payload:\n  command: [[sh, -c, 'echo \"is $VALUE\"; printf %%s \"$VALUE\" | base64; exit 3']]\n  maxRunTime: 60\n  encryptedEnv: ['%s']\n", item)
	for _, test := range []struct {
		name, args  string
		config      string // of the file c.yml
		file        string // what is in the file given
		environ     []string
		input       string
		want        string // in what is printed
		wrongToHave bool   // it has to fail
	}{
		{name: "a configuration", args: "validate c.yml", config: config + "accessToken: " + secret + "\n", want: "c.yml"},
		{name: "as JSON", args: "validate --json c.yml", config: config + "accessToken: " + secret + "\n", want: "{"},
		{name: "an unknown key", args: "validate --as config c.yml", config: config + "accesToken: " + secret + "\n", want: "accesToken", wrongToHave: true},
		{name: "an unknown key", args: "run --config c.yml", config: config + "accesToken: " + secret + "\n", want: "accesToken", wrongToHave: true},
		{name: "a list", args: "run --config c.yml", config: config + "accessToken: [" + secret + "]\n", want: "accessToken", wrongToHave: true},
		{name: "an object", args: "run --config c.yml", config: config + "accessToken: {" + secret + ": " + second + "}\n", want: "accessToken", wrongToHave: true},
		{name: "twice", args: "run --config c.yml", config: config + "accessToken: " + secret + "\naccessToken: " + second + "\n", want: "accessToken", wrongToHave: true},
		{name: "no YAML", args: "run --config c.yml", config: config + "accessToken: \"" + secret + "\n", want: "c.yml", wrongToHave: true},
		{name: "no YAML", args: "validate --as config c.yml", config: config + "accessToken: " + secret + ": " + second + "\n", want: "c.yml", wrongToHave: true},
		{name: "no certificate", args: "run --config c.yml", config: config + "accessToken: x\ncertificate: '{" + secret + "'\n", want: "certificate", wrongToHave: true},
		{name: "no certificate", args: "run --config c.yml", config: config + "accessToken: x\n", environ: []string{"GENERIC_WORKER_CERTIFICATE=" + secret}, want: "CERTIFICATE", wrongToHave: true},
		{name: "too much", args: "run --config c.yml", config: config, environ: []string{"GENERIC_WORKER_ACCESS_TOKEN=" + secret, "GENERIC_WORKER_ACCESS_TOKEN_FILE=file"}, file: second, want: "unset", wrongToHave: true},
		{name: "not UTF-8", args: "run --config c.yml", config: config, environ: []string{"GENERIC_WORKER_ACCESS_TOKEN=\xff" + secret}, want: "UTF-8", wrongToHave: true},
		{name: "in a file, not UTF-8", args: "run --config c.yml", config: config, environ: []string{"GENERIC_WORKER_ACCESS_TOKEN_FILE=file"}, file: "\xff" + secret, want: "UTF-8", wrongToHave: true},
		{name: "in place of its file", args: "run --config c.yml", config: config, environ: []string{"GENERIC_WORKER_ACCESS_TOKEN_FILE=" + secret}, want: "ACCESS_TOKEN_FILE", wrongToHave: true},
		{name: "an unknown variable", args: "run --config c.yml", config: config, environ: []string{"GENERIC_WORKER_ACCES_TOKEN=" + secret}, want: "ACCES_TOKEN", wrongToHave: true},
		{name: "status", args: "status --config c.yml", config: config + "accessToken: " + secret + "\n", want: "state"},
		{name: "status of the unreadable", args: "status --config c.yml", config: config + "accessToken: [" + secret + "\n", want: "c.yml", wrongToHave: true},
		{name: "with a configuration", args: "task list --config c.yml", config: config + "accessToken: " + secret + "\n", wrongToHave: true, want: "generic-worker:"},
		{name: "with variables", args: "task show " + id, environ: []string{"TASKCLUSTER_ROOT_URL=" + fake.URL, "TASKCLUSTER_CLIENT_ID=c", "TASKCLUSTER_ACCESS_TOKEN=" + secret}, want: "task not found", wrongToHave: true},
		{name: "with no certificate", args: "task show " + id, environ: []string{"TASKCLUSTER_ROOT_URL=" + fake.URL, "TASKCLUSTER_CLIENT_ID=c", "TASKCLUSTER_ACCESS_TOKEN=" + secret, "TASKCLUSTER_CERTIFICATE=" + second}, want: "certificate", wrongToHave: true},
		{name: "with a password", args: "task show " + id, environ: []string{"TASKCLUSTER_ROOT_URL=" + strings.Replace(fake.URL, "//", "//u:"+second+"@", 1)}, want: "root URL", wrongToHave: true},
		{name: "with a password in no URL", args: "task show " + id, environ: []string{"TASKCLUSTER_ROOT_URL=http://u:" + second + "@127.0.0.1:port"}, want: "root URL", wrongToHave: true},
		{name: "with a password", args: "run --config c.yml", config: "rootURL: https://u:" + second + "@tc.example.com\n", want: "has a user name", wrongToHave: true},
		{name: "a password in no URL", args: "run --config c.yml", config: "rootURL: https://u:" + second + "@tc.example.com:port\n", want: "rootURL", wrongToHave: true},
		{name: "encrypted", args: "encrypt-env --public-key public --name VALUE --task-id " + id, input: secret, want: "wV4D"},
		{name: "encrypted from a file", args: "encrypt-env --public-key public --name VALUE --value-file file --task-id " + id, file: secret, want: "wV4D"},
		{name: "not encrypted", args: "encrypt-env --public-key public --name VALUE --task-id " + id, input: secret + "\x00", want: "NUL", wrongToHave: true},
		{name: "a key", args: "encrypt-env --public-key private --name VALUE --task-id " + id, input: secret, want: "wV4D"},
		{name: "a key in the wrong place", args: "encrypt-env --public-key file --name VALUE --task-id " + id, file: secret, input: second, want: "public key", wrongToHave: true},
		{name: "no key", args: "run --config c.yml", config: config + "accessToken: x\nencryptedEnvKeyLocation: file\n", file: secret, want: "key", wrongToHave: true},
		{name: "half a key", args: "run --config c.yml", config: config + "accessToken: x\nencryptedEnvKeyLocation: file\n", file: string(private[:len(private)*3/4]), want: "key", wrongToHave: true},
		{name: "a task", args: "task run --verbose --encrypted-env-key private --task-id " + id + " file", file: task, want: "is [redacted]", wrongToHave: true},
		{name: "a task, as JSON", args: "task run --json --encrypted-env-key private --task-id " + id + " file", file: task, want: "is [redacted]", wrongToHave: true},
		{name: "another's task", args: "task run --verbose --encrypted-env-key private file", file: task, want: "another task", wrongToHave: true},
	} {
		t.Run(test.name+": "+strings.Join(strings.Fields(test.args)[:1], ""), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range map[string]string{"c.yml": test.config, "file": test.file, "public": string(public), "private": string(private)} {
				if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			command := exec.CommandContext(t.Context(), "generic-worker", strings.Fields(test.args)...)
			command.Dir, command.Stdin = dir, strings.NewReader(test.input)
			command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "GORACE=atexit_sleep_ms=0"}, test.environ...)
			out, err := command.CombinedOutput()
			if failed := err != nil; failed != test.wrongToHave || !bytes.Contains(out, []byte(test.want)) {
				t.Errorf("%v, no %q in:\n%s", err, test.want, out)
			}
			var found evidence
			found.add("output", out)
			found.addFiles(t, dir)
			found.merge(&seen.evidence)
			lines := strings.Fields(string(private))
			judge(t, found.scan([]canary{newCanary("secret", secret), newCanary("second", second), newCanary("key", lines[len(lines)/2])}), []permission{
				{"file (c.yml|file|private)", ".*", "the test wrote it", false},
				{"environment( of a task)?", "secret|second", "the test, or the task, put it there", false},
			})
		})
	}
}
