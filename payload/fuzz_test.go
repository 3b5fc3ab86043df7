package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	pathpkg "path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/taskcluster/generic-worker/internal/document"
)

func seeds(f *testing.F) []string {
	f.Helper()
	archive, err := txtar.ParseFile("testdata/broken.txtar")
	if err != nil {
		f.Fatal(err)
	}
	list := []string{typical, typicalDocker}
	for _, test := range docker() {
		list = append(list, test.text)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		list = append(list, string(archive.Files[i].Data))
	}
	return list
}

// FuzzPayloadTwoReaders compares what Parse yields with an independent reading
// of the same bytes: one that fails on anything two readers could see differently.
func FuzzPayloadTwoReaders(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add([]byte(seed))
	}
	schema := platformFile(f, "posix")
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := document.ParseJSON("", data)
		var got Payload
		if err == nil {
			got, err = parse(doc, schema, false)
		}
		if err != nil {
			problems, ok := errors.AsType[Problems](err)
			if !ok {
				t.Fatalf("not the payload's fault: %v", err)
			}
			if lines := strings.Count(problems.Error(), "\n") + 1; lines > 20 {
				t.Fatalf("the text has %d lines", lines)
			}
			return
		}
		want, err := readStrictly(data)
		if err != nil {
			t.Fatalf("another reader refuses it: %v", err)
		}
		fields, ok := want.(map[string]any)
		if !ok {
			t.Fatalf("another reader sees %T", want)
		}
		agree(t, got, fields)
	})
}

func agree(t *testing.T, got Payload, fields map[string]any) {
	t.Helper()
	var argv [][]string
	_, image := fields["image"]
	if image != (got.Image != nil) {
		t.Fatalf("image: got %v, want %v", got.Image, fields["image"])
	}
	if image {
		argv = append(argv, strs(fields["command"]))
		agreeDocker(t, got, fields)
	} else {
		for _, command := range fields["command"].([]any) {
			argv = append(argv, strs(command))
		}
		agreeNative(t, got, fields)
	}
	if !slices.EqualFunc(got.Commands, argv, func(c Command, a []string) bool { return slices.Equal(c.Argv, a) }) {
		t.Errorf("commands: got %q, want %q", got.Commands, argv)
	}
	seconds, _ := new(big.Rat).SetString(fields["maxRunTime"].(json.Number).String())
	if got.MaxRunTime <= 0 || new(big.Rat).SetInt64(int64(got.MaxRunTime/time.Second)).Cmp(seconds) != 0 {
		t.Errorf("maxRunTime: got %v, want %v s", got.MaxRunTime, seconds)
	}
	env, _ := fields["env"].(map[string]any)
	if len(env) != len(got.Env) {
		t.Errorf("env: got %d variables, want %d", len(got.Env), len(env))
	}
	for name, value := range env {
		if got.Env[name] != value {
			t.Errorf("env %q: got %q, want %q", name, got.Env[name], value)
		}
	}
}

// agreeNative compares what payloads for generic-worker have in their own way.
func agreeNative(t *testing.T, got Payload, fields map[string]any) {
	t.Helper()
	features, _ := fields["features"].(map[string]any)
	for name, pair := range map[string]struct{ got, ordinary bool }{
		"liveLog": {got.Features.LiveLog, true}, "backingLog": {got.Features.BackingLog, true},
		"taskclusterProxy": {got.Features.TaskclusterProxy, false}, "chainOfTrust": {got.Features.ChainOfTrust, false},
	} {
		want := pair.ordinary
		if value, given := features[name].(bool); given {
			want = value
		}
		if pair.got != want {
			t.Errorf("%s: got %v, want %v", name, pair.got, want)
		}
	}
	artifacts, _ := fields["artifacts"].([]any)
	if len(artifacts) != len(got.Artifacts) {
		t.Fatalf("artifacts: got %d, want %d", len(got.Artifacts), len(artifacts))
	}
	for i, item := range artifacts {
		if artifact := item.(map[string]any); got.Artifacts[i].Path != artifact["path"] || got.Artifacts[i].Type != artifact["type"] {
			t.Errorf("artifact %d: got %+v, want %v", i, got.Artifacts[i], artifact)
		}
	}
	mounts, _ := fields["mounts"].([]any)
	if len(mounts) != len(got.Mounts) {
		t.Fatalf("mounts: got %d, want %d", len(got.Mounts), len(mounts))
	}
	for i, item := range mounts {
		agreeMount(t, got.Mounts[i], item.(map[string]any))
	}
	harmlessMounts(t, got)
}

func agreeMount(t *testing.T, got Mount, fields map[string]any) {
	t.Helper()
	text := func(of map[string]any, key string) string { s, _ := of[key].(string); return s }
	for key, have := range map[string]string{"file": got.File, "directory": got.Directory} {
		if want := text(fields, key); want != "" && have != pathpkg.Clean(want) || want == "" && have != "" {
			t.Errorf("%s: got %q, want %q", key, have, want)
		}
	}
	if got.CacheName != text(fields, "cacheName") || got.Format != text(fields, "format") {
		t.Errorf("got %+v, want %v", got, fields)
	}
	content, given := fields["content"].(map[string]any)
	if given != (got.Content != nil) {
		t.Fatalf("content: got %+v, want %v", got.Content, content)
	}
	if !given {
		return
	}
	want := Content{
		TaskID: text(content, "taskId"), Namespace: text(content, "namespace"), Artifact: text(content, "artifact"),
		URL: text(content, "url"), SHA256: text(content, "sha256"),
	}
	if raw, ok := content["raw"].(string); ok {
		want.Inline = []byte(raw)
	}
	if encoded, ok := content["base64"].(string); ok {
		data, err := base64.StdEncoding.AppendDecode([]byte{}, []byte(encoded))
		if err != nil {
			t.Errorf("another reader cannot decode base64: %v", err)
		}
		want.Inline = data
	}
	if diff := cmp.Diff(want, *got.Content); diff != "" {
		t.Error(diff)
	}
}

// agreeDocker compares what payloads for docker-worker have in their own way.
func agreeDocker(t *testing.T, got Payload, fields map[string]any) {
	t.Helper()
	switch image := fields["image"].(type) {
	case string:
		if *got.Image != (Image{Name: image}) {
			t.Errorf("image: got %+v, want %q", got.Image, image)
		}
	case map[string]any:
		want := map[string]any{"type": image["type"]}
		for key, value := range map[string]string{
			"name": got.Image.Name, "taskId": got.Image.TaskID, "namespace": got.Image.Namespace, "path": got.Image.Path,
		} {
			if value != "" {
				want[key] = value
			}
		}
		if diff := cmp.Diff(want, image); diff != "" {
			t.Errorf("image: %s", diff)
		}
	}
	features, _ := fields["features"].(map[string]any)
	artifacts, _ := fields["artifacts"].(map[string]any)
	if features["artifacts"] == false {
		artifacts = nil
	}
	if len(artifacts) != len(got.Artifacts) {
		t.Errorf("artifacts: got %d, want %d", len(got.Artifacts), len(artifacts))
	}
	caches, _ := fields["cache"].(map[string]any)
	if len(caches) != len(got.Mounts) {
		t.Errorf("caches: got %d, want %d", len(got.Mounts), len(caches))
	}
	for _, m := range got.Mounts {
		if path, _ := caches[m.CacheName].(string); path == "" || !strings.HasSuffix(pathpkg.Clean(path), m.Directory) {
			t.Errorf("cache %q: got %q, want %q", m.CacheName, m.Directory, path)
		}
		if !filepath.IsLocal(m.Directory) {
			t.Errorf("cache %q is outside the task directory: %q", m.CacheName, m.Directory)
		}
	}
	for _, note := range got.Notes {
		if strings.ContainsFunc(note, control) {
			t.Errorf("note %q", note)
		}
	}
	harmlessMounts(t, got)
}

// harmlessMounts looks for mounts that nobody may have.
func harmlessMounts(t *testing.T, got Payload) {
	t.Helper()
	names := map[string]bool{}
	for _, m := range got.Mounts {
		path := m.File + m.Directory
		if path != pathpkg.Clean(path) || path == ".." || strings.HasPrefix(path, "../") || strings.ContainsFunc(path, control) {
			t.Errorf("mount at %q", path)
		}
		if m.CacheName == "" {
			continue
		}
		if names[m.CacheName] || strings.HasSuffix(m.CacheName, "*") || path == "." || path == "/" {
			t.Errorf("cache %q at %q", m.CacheName, path)
		}
		names[m.CacheName] = true
	}
}

func strs(list any) []string {
	var out []string
	for _, item := range list.([]any) {
		out = append(out, item.(string))
	}
	return out
}

// readStrictly reads JSON with the tokens of encoding/json and refuses duplicate
// keys and strings that do not survive.
func readStrictly(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := readValue(decoder)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("trailing data")
	}
	return value, nil
}

func readValue(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			item, err := readValue(decoder)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		_, err := decoder.Token()
		return list, err
	case json.Delim('{'):
		fields := make(map[string]any)
		for decoder.More() {
			key, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			if _, twice := fields[name]; twice || strings.ContainsRune(name, 0) {
				return nil, errors.New("bad key")
			}
			if fields[name], err = readValue(decoder); err != nil {
				return nil, err
			}
		}
		_, err := decoder.Token()
		return fields, err
	}
	if text, ok := token.(string); ok && strings.ContainsRune(text, 0) {
		return nil, errors.New("NUL")
	}
	return token, nil
}

// FuzzArtifactName compares names that are accepted with the rule of the queue,
// and with what file systems and URLs make of them.
func FuzzArtifactName(f *testing.F) {
	for _, seed := range []string{
		"public/build/out.zip", "public/../private", "/etc/passwd", `C:\x`, `\\?\x`, "a//b", "a\x00b", "a\nb", "é", "é",
		"public/x.", "public/x ", "%2e%2e/x", "a%2Fb", "100%", "a%zz", "..", ".", "", "a:b", "Z:", strings.Repeat("a", 1025),
	} {
		f.Add(seed)
	}
	queues := regexp.MustCompile(`^[\x20-\x7e]+$`)
	f.Fuzz(func(t *testing.T, name string) {
		err := CheckArtifactName(name)
		if err != nil {
			if text := err.Error(); len(text) > 500 || strings.ContainsAny(text, "\n\r\x00") {
				t.Errorf("text %q", text)
			}
			return
		}
		if len(name) > 1024 || !queues.MatchString(name) {
			t.Errorf("the queue refuses %q", name)
		}
		for segment := range strings.SplitSeq(name, "/") {
			if segment == "" || segment == "." || segment == ".." || strings.ContainsRune(segment, '\\') {
				t.Errorf("%q has the part %q", name, segment)
			}
		}
	})
}

// typical is what a decision task makes for a build.
const typical = `{
  "command": [
    ["/bin/bash", "-c", "git clone --depth 1 https://example.com/project src"],
    ["/bin/bash", "-c", "cd src && ./configure --prefix=$HOME && make -j4 all check"]
  ],
  "maxRunTime": 7200,
  "env": {
    "HEAD_REPOSITORY": "https://example.com/project", "HEAD_REV": "4f2a6b1c9d8e7f60514233241506978899aabbcc",
    "BUILD_TYPE": "release", "CC": "clang", "CXX": "clang++", "LANG": "C.UTF-8", "SCCACHE_DISABLE": "1", "MOZ_AUTOMATION": "1"
  },
  "artifacts": [
    {"type": "directory", "path": "src/dist", "name": "public/build", "expires": "2031-01-31T12:00:00.000Z"},
    {"type": "file", "path": "src/config.log", "name": "public/logs/config.log", "contentType": "text/plain", "optional": true},
    {"type": "file", "path": "src/out.tar.xz", "name": "public/out.tar.xz", "contentEncoding": "identity"}
  ],
  "mounts": [
    {"directory": ".cache", "cacheName": "project-level-1-checkouts"},
    {"directory": "clang", "format": "tar.zst", "content": {"taskId": "fN1SbArXTPSVFNUvaOlinQ", "artifact": "public/build/clang.tar.zst"}}
  ],
  "features": {"taskclusterProxy": true, "chainOfTrust": true},
  "onExitStatus": {"retry": [72], "purgeCaches": [72]}
}`

// typicalDocker is the same for docker-worker.
const typicalDocker = `{
  "image": {"type": "task-image", "taskId": "fN1SbArXTPSVFNUvaOlinQ", "path": "public/image.tar.zst"},
  "command": ["/bin/bash", "-c", "cd /builds/worker/checkouts && make"],
  "maxRunTime": 7200,
  "env": {"HEAD_REV": "4f2a6b1c9d8e7f60514233241506978899aabbcc", "MOZ_AUTOMATION": "1"},
  "artifacts": {
    "public/build": {"type": "directory", "path": "/builds/worker/artifacts/", "expires": "2031-01-31T12:00:00.000Z"},
    "public/log.txt": {"type": "file", "path": "/builds/worker/checkouts/log.txt"}
  },
  "cache": {"project-level-1-checkouts": "/builds/worker/checkouts", "project-level-1-pip": "/builds/worker/.cache/pip"},
  "features": {"taskclusterProxy": true, "chainOfTrust": true},
  "capabilities": {"devices": {}, "privileged": false},
  "onExitStatus": {"retry": [72], "purgeCaches": [72]}
}`

func BenchmarkParse(b *testing.B) {
	raw := json.RawMessage(typical)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLargePayloads shows that what is large or broken in many places is
// answered in little time.
func TestLargePayloads(t *testing.T) {
	t.Parallel()
	many := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	var keys, caches, artifacts strings.Builder
	for i := range 12_000 {
		n := big.NewInt(int64(i)).String()
		caches.WriteString(`"c` + n + `":"/c/` + n + `",`)
		artifacts.WriteString(`"../` + n + `":{"type":"file","path":"../` + n + `"},`)
	}
	const docker = `{"image":"ubuntu","command":["true"],"maxRunTime":1,`
	for i := range 45_000 {
		keys.WriteString(`,"livelogX` + big.NewInt(int64(i)).Text(36) + `":1`)
	}
	for name, text := range map[string]string{
		"numbers":    `{"command":[[` + many("1", 45_000) + `]],"maxRunTime":1}`,
		"keys":       `{"command":[["true"]],"maxRunTime":1` + keys.String() + `}`,
		"dates":      `{"command":[["true"]],"maxRunTime":1,"artifacts":[` + many(`{"expires":"2031-12-31T23:59:60Z"}`, 20_000) + `]}`,
		"mounts":     `{"command":[["true"]],"maxRunTime":1,"mounts":[` + many(`{"directory":"x","content":{}}`, 12_000) + `]}`,
		"places":     `{"command":[["true"]],"maxRunTime":1,"mounts":[` + many(`{"directory":"x","content":{"raw":""},"format":"zip"}`, 9_000) + `]}`,
		"caches":     docker + `"cache":{` + strings.TrimSuffix(caches.String(), ",") + `}}`,
		"artifacts":  docker + `"artifacts":{` + strings.TrimSuffix(artifacts.String(), ",") + `}}`,
		"too many":   `{"command":[[` + many(`""`, 2_000_000) + `]],"maxRunTime":1}`,
		"deep":       strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"too long":   `"` + strings.Repeat("a", document.MaxBytes) + `"`,
		"long value": `{"command":"` + strings.Repeat("a", document.MaxBytes-100) + `"}`,
		"exponent":   `{"command":[["true"]],"maxRunTime":1e` + big.NewInt(math.MaxInt32).String() + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := parseOn(t, "posix", text)
			if err == nil {
				t.Fatal("got no problem")
			}
			if n := len(err.Error()); n > 10_000 {
				t.Errorf("the text has %d bytes", n)
			}
			// A second is the aim on an idle machine; this one may be busy.
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
