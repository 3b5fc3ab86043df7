package cot

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// minimal has what every certificate has and nothing else.
const minimal = `{
  "artifacts": {"public/a": {"sha256": "` + zeros + `"}},
  "chainOfTrustVersion": 1,
  "environment": {},
  "runId": 0,
  "task": {"dependencies": [], "payload": {}, "scopes": [], "taskGroupId": "g", "workerType": "w"},
  "taskId": "LnshJjNXTfeBlPNrAzyy9w",
  "workerGroup": "g",
  "workerId": "w"
}
`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want := &Certificate{
		TaskID: "LnshJjNXTfeBlPNrAzyy9w", WorkerGroup: "g", WorkerID: "w",
		Task:        json.RawMessage(`{"dependencies": [], "payload": {}, "scopes": [], "taskGroupId": "g", "workerType": "w"}`),
		Artifacts:   map[string]map[string]string{"public/a": {SHA256: zeros}},
		Environment: map[string]json.RawMessage{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{
		"members of other workers": edit(`"runId": 0`, `"runId": 0, "workerType": "w", "other": {"x": 1}`),
		"weak and strong hashes":   edit(`{"sha256"`, `{"md5": "`+zeros[:32]+`", "sha512": "`+zeros+zeros+`", "sha256"`),
		"no artifacts":             edit(`"public/a": {"sha256": "`+zeros+`"}`, ""),
		"a pool in one string":     edit(`"workerType": "w"`, `"taskQueueId": "p/w"`),
		"64 levels":                edit(`"environment": {}`, `"environment": {"x": `+strings.Repeat("[", 62)+strings.Repeat("]", 62)+`}`),
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// edit replaces a part of minimal.
func edit(from, to string) string {
	if !strings.Contains(minimal, from) {
		panic("minimal has no " + from)
	}
	return strings.Replace(minimal, from, to, 1)
}

// refusals checks that none of the texts is read, and that each is refused for
// a reason that has the given words in it.
func refusals(t *testing.T, rows map[string][2]string) {
	t.Helper()
	reasons := map[string]string{}
	for name, row := range rows {
		_, err := Parse([]byte(row[0]))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), row[1]) {
			t.Errorf("%s: %v, which does not say %q", name, err, row[1])
			continue
		}
		if len(err.Error()) > 400 {
			t.Errorf("%s: the reason has %d bytes", name, len(err.Error()))
		}
		reasons[err.Error()] = name
	}
	if len(reasons) == 1 && len(rows) > 1 {
		t.Errorf("all have one reason: %v", reasons)
	}
}

// hash is minimal with other hashes for its artifact.
func hash(text string) string { return edit(`{"sha256": "`+zeros+`"}`, text) }

func TestC10Hashes(t *testing.T) {
	t.Parallel()
	quoted := func(s string) string { return hash(`{"sha256": "` + s + `"}`) }
	refusals(t, map[string][2]string{
		"empty":                       {hash(`{}`), "it has no hash"},
		"null":                        {hash(`null`), "it has no hash"},
		"a list":                      {hash(`[]`), "it has no hash"},
		"a string":                    {hash(`"` + zeros + `"`), "it has no hash"},
		"a hash that is null":         {hash(`{"sha256": null}`), "sha256 is not 64 digits"},
		"a hash that is a number":     {hash(`{"sha256": 1}`), "sha256 is not 64 digits"},
		"an empty hash":               {quoted(""), "sha256 is not 64 digits"},
		"63 digits":                   {quoted(zeros[1:]), "sha256 is not 64 digits"},
		"65 digits":                   {quoted(zeros + "0"), "sha256 is not 64 digits"},
		"upper case":                  {quoted("A" + zeros[1:]), "sha256 is not 64 digits"},
		"white space":                 {quoted(" " + zeros[1:]), "sha256 is not 64 digits"},
		"a line break":                {quoted(zeros + `\n`), "sha256 is not 64 digits"},
		"no hex":                      {quoted("g" + zeros[1:]), "sha256 is not 64 digits"},
		"only md5":                    {hash(`{"md5": "` + zeros[:32] + `"}`), "no hash of a strong algorithm"},
		"only sha1":                   {hash(`{"sha1": "` + zeros[:40] + `"}`), "no hash of a strong algorithm"},
		"md5 and sha1":                {hash(`{"md5": "` + zeros[:32] + `", "sha1": "` + zeros[:40] + `"}`), "no hash of a strong algorithm"},
		"a weak one that is wrong":    {hash(`{"md5": "x", "sha256": "` + zeros + `"}`), "md5 is not 32 digits"},
		"a good and a bad strong one": {hash(`{"sha512": "x", "sha256": "` + zeros + `"}`), "sha512 is not 128 digits"},
		"only an unknown algorithm":   {hash(`{"crc32": "00000000"}`), `"crc32" is not known`},
		"an unknown one beside":       {hash(`{"crc32": "00000000", "sha256": "` + zeros + `"}`), `"crc32" is not known`},
		"an algorithm in capitals":    {hash(`{"SHA256": "` + zeros + `"}`), `"SHA256" is not known`},
		"no name":                     {edit(`"public/a"`, `""`), "cannot be printed"},
		"artifacts that are null":     {edit(`{"public/a": {"sha256": "`+zeros+`"}}`, "null"), "artifacts is not an object"},
		"artifacts that are a list":   {edit(`{"public/a": {"sha256": "`+zeros+`"}}`, "[]"), "artifacts is not an object"},
	})
}

func TestC12Documents(t *testing.T) {
	t.Parallel()
	bad := `{"sha256": "` + strings.Replace(zeros, "0", "1", 1) + `"}`
	good := `{"sha256": "` + zeros + `"}`
	refusals(t, map[string][2]string{
		"an artifact twice, first good":       {edit(`"public/a": `+good, `"public/a": `+good+`, "public/a": `+bad), `"public/a" is there twice`},
		"an artifact twice, first bad":        {edit(`"public/a": `+good, `"public/a": `+bad+`, "public/a": `+good), `"public/a" is there twice`},
		"an artifact twice, once escaped":     {edit(`"public/a": `+good, `"public\/\u0061": `+bad+`, "public/a": `+good), `"public/a" is there twice`},
		"a hash twice":                        {hash(`{"sha256": "` + zeros + `", "sha256": "` + zeros + `"}`), `"sha256" is there twice`},
		"the task id twice":                   {edit(`"runId": 0`, `"runId": 0, "taskId": "LnshJjNXTfeBlPNrAzyy9w"`), `"taskId" is there twice`},
		"twice deep in the task":              {edit(`"payload": {}`, `"payload": {"a": [{"b": 1, "b": 1}]}`), `"b" is there twice`},
		"the task id in another case too":     {edit(`"runId": 0`, `"runId": 0, "TaskId": "x"`), `"TaskId" is there, which is taskId in another case`},
		"the task id in another case only":    {edit(`"taskId"`, `"taskID"`), "taskId is missing"},
		"a letter that folds to another":      {edit(`"runId": 0`, `"runId": 0, "ta\u017fkId": "x"`), "which is taskId in another case"},
		"a scope list in another case":        {edit(`"scopes": []`, `"scopes": [], "Scopes": ["x"]`), "which is scopes in another case"},
		"unverified in another case":          {edit(`"runId": 0`, `"runId": 0, "Unverified": {}`), "which is unverified in another case"},
		"a byte order mark":                   {"\uFEFF" + minimal, "not one JSON document"},
		"a word behind":                       {minimal + "x", "not one JSON document"},
		"a brace behind":                      {minimal + "}", "not one JSON document"},
		"two documents":                       {minimal + minimal, "not one JSON document"},
		"nothing":                             {"", "not one JSON document"},
		"white space":                         {" \n", "not one JSON document"},
		"a comment":                           {"// x\n" + minimal, "not one JSON document"},
		"half of it":                          {minimal[:len(minimal)/2], "not one JSON document"},
		"NaN":                                 {edit(`"runId": 0`, `"runId": NaN`), "not one JSON document"},
		"65 levels":                           {edit(`"environment": {}`, `"environment": {"x": `+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}`), "nested more than 64 deep"},
		"a million levels":                    {edit(`"environment": {}`, `"environment": `+strings.Repeat("[", 1<<20)+strings.Repeat("]", 1<<20)), ""},
		"too many values":                     {edit(`"environment": {}`, `"environment": {"x": [`+strings.Repeat("1,", maxValues)+`1]}`), "more than 500000 values"},
		"100 MB":                              {minimal + strings.Repeat(" ", 100<<20), "longer than 16 MiB"},
		"a byte that is not UTF-8":            {edit(`public/a`, "public/\xff"), "not UTF-8"},
		"an overlong slash":                   {edit(`public/a`, "public\xc0\xafa"), "not UTF-8"},
		"a NUL in an artifact's name":         {edit(`public/a`, `public/a\u0000.exe`), "NUL"},
		"a NUL in a name of the task":         {edit(`"payload": {}`, `"payload": {"\u0000": 1}`), "NUL"},
		"a control character in a name":       {edit(`public/a`, `public/a\r`), "cannot be printed"},
		"a name that reads from the right":    {edit(`public/a`, `public/\u202egpj.exe`), "cannot be printed"},
		"half a surrogate pair in a name":     {edit(`public/a`, `public/\ud800`), "cannot be printed"},
		"a NUL in the task id":                {edit(`LnshJjNXTfeBlPNrAzyy9w`, `LnshJjNXTfeBlPNrAzyy9w\u0000`), "taskId is not a string of printable"},
		"no object":                           {"[]", "it is not an object"},
		"the root is null":                    {"null", "it is not an object"},
		"another version":                     {edit(`"chainOfTrustVersion": 1`, `"chainOfTrustVersion": 2`), "only 1 is known"},
		"a version in quotes":                 {edit(`"chainOfTrustVersion": 1`, `"chainOfTrustVersion": "1"`), "only 1 is known"},
		"a run in quotes":                     {edit(`"runId": 0`, `"runId": "0"`), "not the number of a run"},
		"a run with a point":                  {edit(`"runId": 0`, `"runId": 0.0`), "not the number of a run"},
		"a run below zero":                    {edit(`"runId": 0`, `"runId": -1`), "not the number of a run"},
		"a run that overflows":                {edit(`"runId": 0`, `"runId": 18446744073709551616`), "not the number of a run"},
		"a task id that is no slug":           {edit(`LnshJjNXTfeBlPNrAzyy9w`, `../../etc/passwd`), "not a task id"},
		"a worker that is a number":           {edit(`"workerId": "w"`, `"workerId": 1`), "workerId is not a string"},
		"no worker":                           {edit(`"workerId": "w"`, `"workerId": ""`), "workerId is not a string"},
		"an environment that is null":         {edit(`"environment": {}`, `"environment": null`), "environment is not an object"},
		"a task that is null":                 {edit(`"task": {"dep`, `"task": null, "x": {"dep`), "task: it is not an object"},
		"a task without scopes":               {edit(`"scopes": [], `, ``), "task: scopes is missing"},
		"a task without a pool":               {edit(`, "workerType": "w"`, ``), "neither workerType nor taskQueueId"},
		"a pool that is a number":             {edit(`"workerType": "w"`, `"workerType": 1`), "workerType is not a string"},
		"a payload that is a list":            {edit(`"payload": {}`, `"payload": []`), "payload is not an object"},
		"a scope that is a number":            {edit(`"scopes": []`, `"scopes": [1]`), "scopes has something that is not a string"},
		"a scope twice":                       {edit(`"scopes": []`, `"scopes": ["x", "\u0078"]`), `scopes has "x" twice`},
		"dependencies that are null":          {edit(`"dependencies": []`, `"dependencies": null`), "dependencies is not a list"},
		"unverified that is a list":           {edit(`"runId": 0`, `"runId": 0, "unverified": []`), "unverified is not an object"},
		"other artifacts that are a list":     {edit(`"runId": 0`, `"runId": 0, "otherArtifacts": []`), "otherArtifacts is not an object"},
		"another artifact without a kind":     {edit(`"runId": 0`, `"runId": 0, "otherArtifacts": {"x": null}`), "must be a name with a kind"},
		"an artifact with data and without":   {edit(`"runId": 0`, `"runId": 0, "otherArtifacts": {"public/a": "link"}`), "is among those with data"},
		"a long name that is there twice":     {edit(`"payload": {}`, `"payload": {"`+strings.Repeat("x", 1000)+`": 1, "`+strings.Repeat("x", 1000)+`": 1}`), "is there twice"},
		"a long value instead of the version": {edit(`"chainOfTrustVersion": 1`, `"chainOfTrustVersion": "`+strings.Repeat("x", 1000)+`"`), "only 1 is known"},
	})
	for _, name := range known[:8] {
		if _, err := Parse([]byte(strings.Replace(minimal, `"`+name+`":`, `"x`+name+`":`, 1))); err == nil || !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestPythonWritesTheSame compares with what other workers have used: Python reads
// what Encode writes and writes it the same way.
func TestPythonWritesTheSame(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "python3")
	c := sample()
	c.Task = json.RawMessage(strings.NewReplacer("1.50", "1.5", "1E+2", "100", `"n":null`, `"n":null,"é":1,"😀":2,"\uffff":3,"~":4`).Replace(definition))
	text := encode(t, c)
	path := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const program = "import json, sys; sys.stdout.write(json.dumps(json.load(open(sys.argv[1])), indent=2, sort_keys=True))"
	out, err := exec.CommandContext(t.Context(), "python3", "-c", program, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(out)); diff != "" {
		t.Errorf("(-here +python):\n%s", diff)
	}
}

// TestProductionCertificate reads one that another worker signed in 2017.
func TestProductionCertificate(t *testing.T) {
	t.Parallel()
	corpus := os.Getenv("GW_CORPUS")
	if corpus == "" {
		t.Skip("GW_CORPUS names no folder with data of real deployments")
	}
	file, err := os.ReadFile(filepath.Join(corpus, "cot", "chainOfTrust-2017-production.json.asc"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(file), "\n\n")
	text, _, _ = strings.Cut(text, "\n-----BEGIN PGP SIGNATURE-----")
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if again := encode(t, c); !strings.HasPrefix(again, `{`) || c.TaskID != "LnshJjNXTfeBlPNrAzyy9w" || len(c.Artifacts) == 0 {
		t.Errorf("read as %+v", c)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	c, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c)
	f.Add([]byte(edit(`"runId": 0`, `"runId": 0, "unverified": {"a": "\ud800"}, "otherArtifacts": {"x": "link"}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		first, err := c.Encode()
		if err != nil {
			t.Fatalf("read and not written: %v", err)
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.Encode(); err != nil || string(second) != string(first) {
			t.Errorf("%v (-first +second):\n%s", err, cmp.Diff(first, second))
		}
	})
}
