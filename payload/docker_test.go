package payload

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type dockerCase struct {
	text string
	want Payload
}

// dockerwise is what a payload for docker-worker is without being asked for anything.
func dockerwise(change func(*Payload)) Payload {
	return ordinary(func(p *Payload) {
		p.Image = &Image{Name: "ubuntu:24.04"}
		change(p)
	})
}

func docker() map[string]dockerCase {
	const least = `"command":["true"],"maxRunTime":60`
	const ok = `{"image":"ubuntu:24.04",` + least
	const there, at = "fN1SbArXTPSVFNUvaOlinQ", "public/image.tar"
	image := func(i Image) Payload { return dockerwise(func(p *Payload) { p.Image = &i }) }
	return map[string]dockerCase{
		"least":        {ok + `}`, dockerwise(func(*Payload) {})},
		"named image":  {`{"image":{"type":"docker-image","name":"example.com:5000/a/b_c:v1@sha256:` + strings.Repeat("0", 64) + `"},` + least + `}`, image(Image{Name: "example.com:5000/a/b_c:v1@sha256:" + strings.Repeat("0", 64)})},
		"index's":      {`{"image":{"type":"indexed-image","namespace":"a.b","path":"` + at + `"},` + least + `}`, image(Image{Namespace: "a.b", Path: at})},
		"task's image": {`{"image":{"type":"task-image","taskId":"` + there + `","path":"` + at + `"},` + least + `}`, image(Image{TaskID: there, Path: at})},
		"one command": {
			`{"image":"ubuntu:24.04","command":["/bin/bash","-c","a && b",""],"maxRunTime":60}`,
			dockerwise(func(p *Payload) { p.Commands = []Command{{Argv: []string{"/bin/bash", "-c", "a && b", ""}}} }),
		},
		"all that is refused when true, false": {
			ok + `,"capabilities":{"privileged":false,"disableSeccomp":false,"devices":{"kvm":false}},"graphs":[],"features":{"dind":false,"allowPtrace":false,` +
				`"dockerSave":false,"relengAPIProxy":false,"balrogVPNProxy":false,"balrogStageVPNProxy":false,"testdroidProxy":false,"extendTaskGraph":true,"azureLiveLog":true}}`,
			dockerwise(func(*Payload) {}),
		},
		"features": {
			ok + `,"features":{"taskclusterProxy":true,"chainOfTrust":true,"interactive":true}}`,
			dockerwise(func(p *Payload) {
				p.Features.TaskclusterProxy, p.Features.ChainOfTrust, p.Features.Interactive.On = true, true, true
			}),
		},
		"no live log":   {ok + `,"features":{"localLiveLog":false}}`, dockerwise(func(p *Payload) { p.Features.LiveLog = false })},
		"no bulk log":   {ok + `,"features":{"bulkLog":false}}`, dockerwise(func(*Payload) {})},
		"no log":        {ok + `,"features":{"localLiveLog":false,"bulkLog":false}}`, dockerwise(func(p *Payload) { p.Features.LiveLog, p.Features.BackingLog = false, false })},
		"log":           {ok + `,"log":"a.b/live.log.txt"}`, dockerwise(func(p *Payload) { p.Logs = Logs{"a.b/live.log.txt", "a.b/live.log_backing.txt"} })},
		"log without .": {ok + `,"log":"a.b/log"}`, dockerwise(func(p *Payload) { p.Logs = Logs{"a.b/log", "a.b/log_backing"} })},
		"exit codes": {
			ok + `,"onExitStatus":{"retry":[-1,0,4,4],"purgeCaches":[5]}}`,
			dockerwise(func(p *Payload) { p.OnExitStatus = OnExitStatus{Retry: []int{-1, 0, 4, 4}, PurgeCaches: []int{5}} }),
		},
		"the rest": {
			ok + `,"env":{"A":"b"},"encryptedEnv":["AAAA"],"supersederUrl":"x"}`,
			dockerwise(func(p *Payload) {
				p.Env, p.EncryptedEnv, p.SupersederURL = map[string]string{"A": "b"}, []string{"AAAA"}, "x"
			}),
		},
		"caches and artifacts": {
			ok + `,"cache":{"z":"/builds/worker","a":"/builds/worker/pip/","rel":"x/y"},"artifacts":{` +
				`"public/b":{"type":"directory","path":"/builds/worker/dist/"},"public/c/":{"type":"volume","path":"/builds/worker/pip"},` +
				`"d":{"type":"file","path":"/builds/worker2/d","expires":"2031-01-31T12:00:00.000Z"},"e":{"type":"file","path":"x/y/e"},"f":{"type":"file","path":"/x/y/f"}}}`,
			dockerwise(func(p *Payload) {
				p.Mounts = []Mount{
					{Directory: "builds/worker", CacheName: "z"}, {Directory: "builds/worker/pip", CacheName: "a"}, {Directory: "x/y", CacheName: "rel"},
				}
				p.Artifacts = []Artifact{
					{Type: File, Path: "/builds/worker2/d", Name: "d", Optional: true, Expires: time.Date(2031, 1, 31, 12, 0, 0, 0, time.UTC)},
					{Type: File, Path: "x/y/e", Name: "e", Optional: true},
					{Type: File, Path: "/x/y/f", Name: "f", Optional: true},
					{Type: Directory, Path: "builds/worker/dist", Name: "public/b", Optional: true},
					{Type: Directory, Path: "builds/worker/pip", Name: "public/c", Optional: true},
				}
				p.Notes = []string{
					"cache a is at builds/worker/pip in the task directory and not at /builds/worker/pip/: there is no container",
					"cache z is at builds/worker in the task directory and not at /builds/worker: there is no container",
					"artifact d is taken from /builds/worker2/d of this machine: there is no container",
					"artifact f is taken from /x/y/f of this machine: there is no container",
					"artifact public/b is taken from builds/worker/dist in the task directory, where its cache is",
					"artifact public/c/ is taken from builds/worker/pip in the task directory, where its cache is",
				}
			}),
		},
		"no artifacts": {
			ok + `,"artifacts":{"a":{"type":"file","path":"/a"}},"features":{"artifacts":false}}`,
			dockerwise(func(p *Payload) { p.Notes = []string{"features.artifacts is false: no artifacts are published"} }),
		},
	}
}

func TestDocker(t *testing.T) {
	t.Parallel()
	for name, test := range docker() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseOn(t, "posix", test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, emptyIsNil); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := parseOn(t, "posix", typicalDocker); err != nil {
		t.Error(err)
	}
}

// TestDockerWords shows that what is said about a payload for docker-worker uses
// the words of docker-worker.
func TestDockerWords(t *testing.T) {
	t.Parallel()
	p, err := parseOn(t, "posix", typicalDocker)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Image.String(); got != "public/image.tar.zst of task fN1SbArXTPSVFNUvaOlinQ" {
		t.Errorf("the image is %s", got)
	}
	if got := (Image{Namespace: "a.b", Path: "x"}).String(); got != "x of the index's a.b" {
		t.Errorf("the indexed image is %s", got)
	}
	if p.ScopePrefix() != "docker-worker" || p.Key("mounts") != "cache" || p.Key("interactive") != "interactive" {
		t.Errorf("scopes begin with %s, mounts are %s", p.ScopePrefix(), p.Key("mounts"))
	}
	if native := Default(); native.ScopePrefix() != "generic-worker" || native.Key("mounts") != "mounts" {
		t.Errorf("scopes of generic-worker begin with %s, mounts are %s", native.ScopePrefix(), native.Key("mounts"))
	}
	early := time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := p.CheckExpiry(early, time.Time{}); err == nil || !strings.HasPrefix(err.Error(), "/artifacts/public~1build/expires: is 2031") {
		t.Errorf("an artifact that expires too early: %v", err)
	}
}
