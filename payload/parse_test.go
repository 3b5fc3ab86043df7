package payload

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/taskcluster/generic-worker/internal/document"
)

var update = flag.Bool("update", false, "write the texts in testdata")

// parseOn reads a payload with the schema of one platform, whatever the platform
// of the test is.
func parseOn(t testing.TB, platform, text string) (Payload, error) {
	t.Helper()
	if platform == "posix" && commandLines {
		t.Skip("paths are judged as on Windows here")
	}
	schema := platformFile(t, platform)
	doc, err := document.ParseJSON("", []byte(text))
	if err != nil {
		return Payload{}, err
	}
	return parse(doc, schema, platform == "windows")
}

func platformFile(t testing.TB, platform string) *document.Schema {
	t.Helper()
	name := "payload-" + platform + ".json"
	text, err := os.ReadFile("../schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := document.Compile(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestBroken(t *testing.T) {
	t.Parallel()
	const golden = "testdata/broken.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		in, want := archive.Files[i], &archive.Files[i+1]
		name := strings.TrimSuffix(in.Name, ".json")
		platform := "posix"
		if strings.HasPrefix(name, "windows-") {
			platform = "windows"
		}
		t.Run(name, func(t *testing.T) {
			_, err := parseOn(t, platform, strings.TrimSuffix(string(in.Data), "\n"))
			problems, ok := errors.AsType[Problems](err)
			if !ok {
				t.Fatalf("got %v, want Problems", err)
			}
			got := problems.Error() + "\n"
			if n := strings.Count(got, "\n"); n > 20 {
				t.Errorf("got %d lines, want at most 20", n)
			}
			for line := range strings.Lines(got) {
				if len(line) > 500 {
					t.Errorf("a line has %d bytes: %s", len(line), line)
				}
			}
			if *update {
				want.Data = []byte(got)
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// ordinary is what a payload is without being asked for anything.
func ordinary(change func(*Payload)) Payload {
	p := Payload{
		Commands:                  []Command{{Argv: []string{"true"}}},
		MaxRunTime:                time.Minute,
		Features:                  Features{LiveLog: true, BackingLog: true, ResourceMonitor: ResourceMonitor{On: true}},
		Logs:                      Logs{Live: "public/logs/live.log", Backing: "public/logs/live_backing.log"},
		TaskclusterProxyInterface: "localhost",
	}
	change(&p)
	return p
}

func TestValid(t *testing.T) {
	t.Parallel()
	const ok = `{"command":[["true"]],"maxRunTime":60`
	for name, test := range map[string]struct {
		text string
		want Payload
	}{
		"least": {ok + `}`, ordinary(func(*Payload) {})},
		"commands": {
			`{"command":[["sh","-c","a && b"],["printf","","é\ud83d\ude00"]],"maxRunTime":60}`,
			ordinary(func(p *Payload) {
				p.Commands = []Command{{Argv: []string{"sh", "-c", "a && b"}}, {Argv: []string{"printf", "", "é😀"}}}
			}),
		},
		"integers with exponent": {
			`{"command":[["true"]],"maxRunTime":1.2e3,"onExitStatus":{"retry":[1e1]}}`,
			ordinary(func(p *Payload) { p.MaxRunTime = 20 * time.Minute; p.OnExitStatus.Retry = []int{10} }),
		},
		"longest run time": {
			`{"command":[["true"]],"maxRunTime":4294967295}`,
			ordinary(func(p *Payload) { p.MaxRunTime = 4294967295 * time.Second }),
		},
		"env": {
			ok + `,"env":{"PATH":"/bin","path":"x","ProgramFiles(x86)":"","A B":"c=d\ne"}}`,
			ordinary(func(p *Payload) {
				p.Env = map[string]string{"PATH": "/bin", "path": "x", "ProgramFiles(x86)": "", "A B": "c=d\ne"}
			}),
		},
		"empty": {
			ok + `,"env":{},"artifacts":[],"features":{},"mounts":[],"osGroups":[],"logs":{},"onExitStatus":{"retry":[],"purgeCaches":[]},"encryptedEnv":[]}`,
			ordinary(func(*Payload) {}),
		},
		"features": {
			ok + `,"features":{"liveLog":false,"backingLog":false,"resourceMonitor":false,"taskclusterProxy":true,"interactive":true,` +
				`"chainOfTrust":true,"runTaskAsCurrentUser":true},"taskclusterProxyInterface":"docker-bridge"}`,
			ordinary(func(p *Payload) {
				p.Features = Features{
					TaskclusterProxy: true, Interactive: Interactive{On: true}, ChainOfTrust: true,
					RunTaskAsCurrentUser: true,
				}
				p.TaskclusterProxyInterface = "docker-bridge"
			}),
		},
		"logs": {
			ok + `,"logs":{"live":"private/live.txt"},"artifacts":[{"type":"file","path":"public/logs/live.log"}]}`,
			ordinary(func(p *Payload) {
				p.Logs.Live = "private/live.txt"
				p.Artifacts = []Artifact{{Type: File, Path: "public/logs/live.log", Name: "public/logs/live.log"}}
			}),
		},
		"log names of logs that are off": {
			ok + `,"features":{"liveLog":false,"backingLog":false},"artifacts":[{"type":"file","path":"public/logs/live.log"}]}`,
			ordinary(func(p *Payload) {
				p.Features.LiveLog, p.Features.BackingLog = false, false
				p.Artifacts = []Artifact{{Type: File, Path: "public/logs/live.log", Name: "public/logs/live.log"}}
			}),
		},
		"artifact in full": {
			ok + `,"artifacts":[{"type":"file","path":"/var/log/x.log","name":"public/x.log","expires":"2031-01-31T12:00:00.123Z",` +
				`"contentType":"text/plain; charset=utf-8","contentEncoding":"identity","optional":true}]}`,
			ordinary(func(p *Payload) {
				p.Artifacts = []Artifact{{
					Type: File, Path: "/var/log/x.log", Name: "public/x.log",
					Expires:     time.Date(2031, 1, 31, 12, 0, 0, 123e6, time.UTC),
					ContentType: "text/plain; charset=utf-8", ContentEncoding: "identity", Optional: true,
				}}
			}),
		},
		"names of artifacts": {
			ok + `,"artifacts":[{"type":"file","path":"./a/../b"},{"type":"directory","path":"dist/"},{"type":"directory","path":"."},` +
				`{"type":"directory","path":"x","name":"public/"},{"type":"directory","path":"y","name":"public"},` +
				`{"type":"file","path":"z","name":"public"},{"type":"file","path":"100%","name":""},{"type":"file","path":"a b:c"}]}`,
			ordinary(func(p *Payload) {
				p.Artifacts = []Artifact{
					{Type: File, Path: "./a/../b", Name: "b"},
					{Type: Directory, Path: "dist/", Name: "dist"},
					{Type: Directory, Path: ".", Name: ""},
					{Type: Directory, Path: "x", Name: "public"},
					{Type: Directory, Path: "y", Name: "public"},
					{Type: File, Path: "z", Name: "public"},
					{Type: File, Path: "100%", Name: "100%"},
					{Type: File, Path: "a b:c", Name: "a b:c"},
				}
			}),
		},
		"file also in a directory": {
			ok + `,"artifacts":[{"type":"file","path":"public/x"},{"type":"directory","path":"public"}]}`,
			ordinary(func(p *Payload) {
				p.Artifacts = []Artifact{{Type: File, Path: "public/x", Name: "public/x"}, {Type: Directory, Path: "public", Name: "public"}}
			}),
		},
		"exit codes": {
			ok + `,"onExitStatus":{"retry":[1,255],"purgeCaches":[0,66]}}`,
			ordinary(func(p *Payload) { p.OnExitStatus = OnExitStatus{Retry: []int{1, 255}, PurgeCaches: []int{0, 66}} }),
		},
		"mounts": {
			ok + `,"mounts":[{"file":"a","content":{"raw":"x"}},` +
				`{"file":"a.bin","format":"gz","content":{"base64":"aGVsbG8="}},` +
				`{"directory":"c","cacheName":"n"},` +
				`{"directory":"e","cacheName":"m","format":"tar.gz","content":{"namespace":"a.b","artifact":"public/x"}},` +
				`{"directory":"d","format":"zip","content":{"taskId":"fN1SbArXTPSVFNUvaOlinQ","artifact":"public/x","sha256":"` + strings.Repeat("0", 64) + `"}},` +
				`{"directory":"d","format":"tar.zst","content":{"url":"https://example.com/x?y=<&>"}}]}`,
			ordinary(func(p *Payload) {
				p.Mounts = []Mount{
					{File: "a", Content: &Content{Inline: []byte("x")}},
					{File: "a.bin", Format: "gz", Content: &Content{Inline: []byte("hello")}},
					{Directory: "c", CacheName: "n"},
					{Directory: "e", CacheName: "m", Format: "tar.gz", Content: &Content{Namespace: "a.b", Artifact: "public/x"}},
					{Directory: "d", Format: "zip", Content: &Content{TaskID: "fN1SbArXTPSVFNUvaOlinQ", Artifact: "public/x", SHA256: strings.Repeat("0", 64)}},
					{Directory: "d", Format: "tar.zst", Content: &Content{URL: "https://example.com/x?y=<&>"}},
				}
			}),
		},
		"where mounts go": {
			ok + `,"mounts":[{"directory":"x//y/./z/..","cacheName":"parent"},{"directory":"x/y/z/","cacheName":"child"},{"file":"x/y/f","content":{"raw":""}},` +
				`{"directory":".","format":"zip","content":{"raw":""}},{"directory":"/opt/../srv/tools","format":"zip","content":{"raw":""}},` +
				`{"directory":"d","format":"zip","content":{"raw":""}},{"directory":"d","format":"tar","content":{"raw":""}},{"directory":"d/e","format":"tar","content":{"raw":""}},` +
				`{"directory":"s","format":"zip","content":{"raw":""}},{"file":"s","content":{"raw":""}},{"file":"..x/...","content":{"raw":""}},{"file":"generic-worker/chain-of-trust-additional-data.json","content":{"raw":"{}"}},` +
				`{"directory":"generic-worker-src","cacheName":"a *b c"},{"directory":"é: x","cacheName":"` + strings.Repeat("x", 255) + `"}]}`,
			ordinary(func(p *Payload) {
				empty := &Content{Inline: []byte{}}
				p.Mounts = []Mount{
					{Directory: "x/y", CacheName: "parent"},
					{Directory: "x/y/z", CacheName: "child"},
					{File: "x/y/f", Content: empty},
					{Directory: ".", Format: "zip", Content: empty},
					{Directory: "/srv/tools", Format: "zip", Content: empty},
					{Directory: "d", Format: "zip", Content: empty},
					{Directory: "d", Format: "tar", Content: empty},
					{Directory: "d/e", Format: "tar", Content: empty},
					{Directory: "s", Format: "zip", Content: empty},
					{File: "s", Content: empty},
					{File: "..x/...", Content: empty},
					{File: "generic-worker/chain-of-trust-additional-data.json", Content: &Content{Inline: []byte("{}")}},
					{Directory: "generic-worker-src", CacheName: "a *b c"},
					{Directory: "é: x", CacheName: strings.Repeat("x", 255)},
				}
			}),
		},
		"globs": {
			ok + `,"artifacts":[{"type":"glob","path":"build/**/*.{zip,log}","maxFiles":10},{"type":"glob","path":"*","name":"public/","maxFiles":10000},` +
				`{"type":"glob","path":"a\\[x/b","maxFiles":1,"optional":true},{"type":"glob","path":"no/special","maxFiles":1}]}`,
			ordinary(func(p *Payload) {
				p.Artifacts = []Artifact{
					{Type: Glob, Path: "build/**/*.{zip,log}", Name: "build", MaxFiles: 10},
					{Type: Glob, Path: "*", Name: "public", MaxFiles: 10000},
					{Type: Glob, Path: `a\[x/b`, MaxFiles: 1, Optional: true},
					{Type: Glob, Path: "no/special", Name: "no", MaxFiles: 1},
				}
			}),
		},
		"largest exit codes": {
			ok + `,"onExitStatus":{"retry":[1,4294967295],"purgeCaches":[4294967295]}}`,
			ordinary(func(p *Payload) {
				largest := codes([]int64{4294967295})[0]
				p.OnExitStatus = OnExitStatus{Retry: []int{1, largest}, PurgeCaches: []int{largest}}
			}),
		},
		"the rest": {
			ok + `,"osGroups":["docker","kvm"],"supersederUrl":"https://example.com/x","encryptedEnv":["AAAA"]}`,
			ordinary(func(p *Payload) {
				p.OSGroups = []string{"docker", "kvm"}
				p.SupersederURL = "https://example.com/x"
				p.EncryptedEnv = []string{"AAAA"}
			}),
		},
	} {
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
}

// emptyIsNil lets tables leave out what is empty.
var emptyIsNil = cmpopts.EquateEmpty()

func TestWindows(t *testing.T) {
	t.Parallel()
	got, err := parseOn(t, "windows", `{"command":["echo \"hello\"","dir"],"maxRunTime":60,`+
		`"features":{"runAsAdministrator":true,"hideCmdWindow":true},"rdpInfo":"login-identity/rdp.json","onExitStatus":{"purgeCaches":[0,66]},`+
		`"mounts":[{"directory":"A\\.\\b\\","cacheName":"c"},{"directory":"D:\\x\\..\\..\\y","cacheName":"d"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	want := ordinary(func(p *Payload) {
		p.Commands = []Command{{Line: `echo "hello"`}, {Line: "dir"}}
		p.Features.RunAsAdministrator, p.Features.HideCmdWindow = true, true
		p.RDPInfo = "login-identity/rdp.json"
		p.OnExitStatus.PurgeCaches = []int{0, 66}
		p.Mounts = []Mount{{Directory: "A/b", CacheName: "c"}, {Directory: "D:/y", CacheName: "d"}}
	})
	if diff := cmp.Diff(want, got, emptyIsNil); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"mounts", "runAsAdministrator", "hideCmdWindow", "rdpInfo"}, got.Requests()); diff != "" {
		t.Error(diff)
	}
}

// TestParse shows that the exported way in uses the schema of this platform.
func TestParse(t *testing.T) {
	t.Parallel()
	_, err := Parse(json.RawMessage(`{"maxRunTime":60}`))
	if problems, ok := errors.AsType[Problems](err); !ok || len(problems) != 1 || problems[0].Pointer != "/command" {
		t.Errorf("got %v, want one problem with /command", err)
	}
}

func TestLongStrings(t *testing.T) {
	t.Parallel()
	most := strings.Repeat("a", longestString-len("A="))
	payload := func(argument, value string) string {
		return `{"command":[["echo","` + argument + `"]],"maxRunTime":60,"env":{"A":"` + value + `"}}`
	}
	if _, err := parseOn(t, "posix", payload(most+"aa", most)); err != nil {
		t.Error(err)
	}
	_, err := parseOn(t, "posix", payload(most+"aaa", most+"a"))
	want := fmt.Sprintf(`/command/0/1: is longer than %[1]d bytes, which is too much for an argument; put the text into a file: mounts can do that
/env/A: is longer than %[1]d bytes, which is too much for a variable; put the text into a file: mounts can do that`, longestString)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = parseOn(t, "posix", `{"image":"ubuntu:24.04","command":["echo","`+most+`aaa"],"maxRunTime":60,"env":{"A":"`+most+`a"}}`)
	if want := strings.Replace(want, "/command/0/1", "/command/1", 1); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPartOfTask(t *testing.T) {
	t.Parallel()
	task, err := document.Parse("hello.yml", []byte("metadata:\n  name: hello\npayload:\n  maxRunTime: 1 hour\n  env: {A: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	part, ok := task.At("/payload")
	if !ok {
		t.Fatal("found no payload")
	}
	_, err = parse(part, platformFile(t, "posix"), false)
	want := `hello.yml:3:1: /payload/command: is missing; add for example "command": [["/bin/sh","-c","make test"]]
hello.yml:4:3: /payload/maxRunTime: must be an integer, not the string "1 hour"; write for example 3600
hello.yml:5:9: /payload/env/A: must be a string, not a number; put it in quotes`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	all := Payload{
		EncryptedEnv: []string{"x"}, Mounts: []Mount{{}}, OSGroups: []string{"x"}, RDPInfo: "x",
		Artifacts: []Artifact{{}}, Env: map[string]string{"A": "b"},
		Features: Features{true, true, true, Interactive{On: true}, ResourceMonitor{On: true}, true, true, true, true, true, true, true},
	}
	want := []string{
		"encryptedEnv", "mounts", "osGroups", "taskclusterProxy", "interactive", "phaseTimings", "loopbackVideo", "loopbackAudio",
		"chainOfTrust", "runTaskAsCurrentUser", "runAsAdministrator", "hideCmdWindow", "rdpInfo",
	}
	if diff := cmp.Diff(want, all.Requests()); diff != "" {
		t.Error(diff)
	}
	if got := ordinary(func(*Payload) {}).Requests(); len(got) > 0 {
		t.Errorf("an ordinary payload requests %v", got)
	}
}

func TestCheckExpiry(t *testing.T) {
	t.Parallel()
	deadline := time.Date(2031, 1, 1, 12, 0, 0, 0, time.UTC)
	expires := deadline.Add(24 * time.Hour)
	for name, test := range map[string]struct {
		at   time.Time
		want string
	}{
		"none":                           {time.Time{}, ""},
		"before the deadline":            {deadline.Add(-time.Hour), "/artifacts/0/expires: is 2031-01-01T11:00:00.000Z, which is before the deadline of the task; the bound is 2031-01-01T12:00:00.000Z; without expires the artifact expires with the task"},
		"a second before the deadline":   {deadline.Add(-time.Second), ""},
		"a moment more than that":        {deadline.Add(-time.Second - time.Millisecond), "/artifacts/0/expires: is 2031-01-01T11:59:58.999Z, which is before the deadline of the task; the bound is 2031-01-01T12:00:00.000Z; without expires the artifact expires with the task"},
		"with the deadline":              {deadline, ""},
		"between deadline and expiry":    {deadline.Add(time.Hour), ""},
		"with the task":                  {expires, ""},
		"a second after the task":        {expires.Add(time.Second), ""},
		"after the task":                 {expires.Add(time.Hour), "/artifacts/0/expires: is 2031-01-02T13:00:00.000Z, which is after the task itself expires; the bound is 2031-01-02T12:00:00.000Z; without expires the artifact expires with the task"},
		"with the task in another place": {expires.In(time.FixedZone("", 3600)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := (Payload{Artifacts: []Artifact{{Expires: test.at}}}).CheckExpiry(deadline, expires); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
	if err := (Payload{Artifacts: []Artifact{{Expires: deadline}}}).CheckExpiry(time.Time{}, time.Time{}); err != nil {
		t.Errorf("without bounds: %v", err)
	}
}

// TestLoopbackElsewhere: macOS and FreeBSD have the schema of Linux but no
// such devices.
func TestLoopbackElsewhere(t *testing.T) {
	t.Parallel()
	doc, err := document.ParseJSON("", []byte(`{"features":{"loopbackVideo":true,"loopbackAudio":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]any{"loopbackVideo": true, "loopbackAudio": false}
	got := Problems(loopback(doc, asked, false)).Error()
	if want := "/features/loopbackVideo: is a feature of workers on Linux; remove it"; got != want {
		t.Errorf("got %s", got)
	}
	if here := loopback(doc, asked, true); len(here) > 0 {
		t.Errorf("on Linux: %v", here)
	}
	p, err := parseOn(t, "posix", `{"command":[["true"]],"maxRunTime":1,"features":{"loopbackVideo":true,"loopbackAudio":true}}`)
	if problems, _ := errors.AsType[Problems](err); (len(problems) == 0) != loopbacks || loopbacks && !(p.Features.LoopbackVideo && p.Features.LoopbackAudio) {
		t.Errorf("parsed as %+v, %v", p.Features, err)
	}
}
