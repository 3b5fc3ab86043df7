package cot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// definition has what encoders like to lose: order, digits, characters.
const definition = `{"workerType":"ci","provisionerId":"proj","taskQueueId":"proj/ci","taskGroupId":"Group_____________-0Q_",
"dependencies":["Dep___________________"],"scopes":["queue:x"],"payload":{"z":1.50,"a":12345678901234567890,"e":1E+2,
"t":"<&> \u00e9é 😀 \ud800 \u2028 tab\t \/ \u007f","n":null,"empty":{},"none":[],"list":[true,false,[1]]}}`

func sample() *Certificate {
	return &Certificate{
		TaskID: "LnshJjNXTfeBlPNrAzyy9w", RunID: 3, WorkerGroup: "eu", WorkerID: "i-1",
		Task:        json.RawMessage(definition),
		Artifacts:   map[string]map[string]string{"public/b": {SHA256: zeros}, "public/a": {SHA256: zeros}},
		Environment: map[string]json.RawMessage{"engine": json.RawMessage(`"insecure"`)},
	}
}

func encode(t *testing.T, c *Certificate) string {
	t.Helper()
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestForm shows the one form of a certificate: what Python's json.dumps gives
// with indent=2 and sort_keys=True, except that digits of numbers stay.
func TestForm(t *testing.T) {
	t.Parallel()
	c := sample()
	c.OtherArtifacts = map[string]string{"public/live.log": "link"}
	c.Unverified = json.RawMessage(`{"taskId":"mine"}`)
	want := `{
  "artifacts": {
    "public/a": {
      "sha256": "` + zeros + `"
    },
    "public/b": {
      "sha256": "` + zeros + `"
    }
  },
  "chainOfTrustVersion": 1,
  "environment": {
    "engine": "insecure"
  },
  "otherArtifacts": {
    "public/live.log": "link"
  },
  "runId": 3,
  "task": {
    "dependencies": [
      "Dep___________________"
    ],
    "payload": {
      "a": 12345678901234567890,
      "e": 1E+2,
      "empty": {},
      "list": [
        true,
        false,
        [
          1
        ]
      ],
      "n": null,
      "none": [],
      "t": "<&> \u00e9\u00e9 \ud83d\ude00 \ud800 \u2028 tab\t / \u007f",
      "z": 1.50
    },
    "provisionerId": "proj",
    "scopes": [
      "queue:x"
    ],
    "taskGroupId": "Group_____________-0Q_",
    "taskQueueId": "proj/ci",
    "workerType": "ci"
  },
  "taskId": "LnshJjNXTfeBlPNrAzyy9w",
  "unverified": {
    "taskId": "mine"
  },
  "workerGroup": "eu",
  "workerId": "i-1"
}`
	if diff := cmp.Diff(want, encode(t, c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestC6RoundTrips reads and writes certificates over random definitions a
// thousand times.
func TestC6RoundTrips(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 0))
		c := sample()
		c.Task = json.RawMessage(strings.Replace(definition, `"z":1.50`, `"z":`+randomJSON(random, 5), 1))
		c.Unverified = json.RawMessage(`{"own":` + randomJSON(random, 3) + `}`)
		first := encode(t, c)
		read, err := Parse([]byte(first))
		if err != nil {
			t.Fatalf("%v of\n%s", err, first)
		}
		if again := encode(t, read); again != first {
			t.Fatalf("(-first +second):\n%s", cmp.Diff(first, again))
		}
		if !sameMeaning(t, c.Task, read.Task) {
			t.Fatalf("the task %s came back as %s", c.Task, read.Task)
		}
	}
}

func sameMeaning(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	var x, y any
	for text, to := range map[string]*any{string(a): &x, string(b): &y} {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(to); err != nil {
			t.Fatal(err)
		}
	}
	return cmp.Equal(x, y)
}

func randomJSON(random *rand.Rand, depth int) string {
	switch kind := random.IntN(6); {
	case kind == 0 && depth > 0:
		var members []string
		for i := range random.IntN(5) {
			members = append(members, fmt.Sprintf(`"%d%s":%s`, i, randomText(random), randomJSON(random, depth-1)))
		}
		return "{ " + strings.Join(members, " , ") + "}"
	case kind == 1 && depth > 0:
		var items []string
		for range random.IntN(5) {
			items = append(items, randomJSON(random, depth-1))
		}
		return "[" + strings.Join(items, ",\n") + " ]"
	case kind == 2:
		return []string{"true", "false", "null"}[random.IntN(3)]
	case kind == 3:
		return []string{"0", "-0.0", "1e400", "12345678901234567890.10", "-7"}[random.IntN(5)]
	}
	return `"` + randomText(random) + `"`
}

func randomText(random *rand.Rand) string {
	pieces := []string{"a", `\"`, `\\`, `\u0041`, "é", "😀", `\ud83d\ude00`, `\/`, `\n`, "\u2028", "<", `\ud800`, `\u001f`, "-", " ", "\u007f"}
	var text strings.Builder
	for range random.IntN(6) {
		text.WriteString(pieces[random.IntN(len(pieces))])
	}
	return text.String()
}

// TestC1TaskCannotShadow lets a task write whatever it wants: everything else
// in the certificate stays as the worker has it.
func TestC1TaskCannotShadow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{
			"taskId", "TASKID", "taskid", "artifacts", "environment", "chainOfTrustVersion", "unverified", "__proto__", "constructor", "task", "runId", "Environment", "",
		}), rapid.ID).Draw(t, "names")
		own := map[string]any{}
		for _, name := range names {
			own[name] = rapid.SampledFrom([]any{nil, 1, "x", map[string]any{"sha256": "y"}, []any{}}).Draw(t, name)
		}
		text, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		c, plain := sample(), sample()
		if c.Unverified, err = ReadUnverified(text); err != nil {
			t.Fatal(err)
		}
		signed, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		want, err := plain.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got.Unverified = nil
		if without, err := got.Encode(); err != nil || string(without) != string(want) {
			t.Fatalf("with %s the certificate is\n%s", text, signed)
		}
		// A reader that does not heed case sees the worker's members, too.
		var lax struct{ TaskID, WorkerID string }
		if err := json.Unmarshal(signed, &lax); err != nil || lax.TaskID != plain.TaskID || lax.WorkerID != plain.WorkerID {
			t.Fatalf("a lax reader sees %+v, %v", lax, err)
		}
	})
}

func TestC1WhatATaskMayNotWrite(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":          "",
		"a list":           "[]",
		"a string":         `"x"`,
		"half an object":   `{"a":`,
		"two objects":      "{}{}",
		"a name twice":     `{"a":1,"\u0061":2}`,
		"a byte order":     "\uFEFF{}",
		"a NUL in a name":  `{"\u0000":1}`,
		"deep":             `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}",
		"more than 64 KiB": `{"a":"` + strings.Repeat("x", 64<<10) + `"}`,
		"not UTF-8":        "{\"a\":\"\xff\"}",
	} {
		if got, err := ReadUnverified([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestDefinitionSHA256(t *testing.T) {
	t.Parallel()
	sums := map[string]string{}
	for _, text := range []string{`{"a":"\u00e9","b":[1,2]}`, "{ \"b\" : [1,\n2], \"a\":\"é\" }", `{"a":"\u00e9","b":[1,2.0]}`} {
		sum, err := DefinitionSHA256(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		sums[sum] = text
	}
	// printf '{\n  "a": "\\u00e9",\n  "b": [\n    1,\n    2\n  ]\n}' | sha256sum
	if _, ok := sums["b8210b525228dae6ae7431892b8653693e997f7d4f3851ab91261c0cec9cdcd8"]; !ok || len(sums) != 2 {
		t.Errorf("got %v", maps.Collect(maps.All(sums)))
	}
	if _, err := DefinitionSHA256(json.RawMessage(`{"a":1,"a":2}`)); !errors.Is(err, ErrMalformed) {
		t.Errorf("an ambiguous definition has a hash: %v", err)
	}
}

// TestEncodeRefuses gives Encode what a strict reader would not take.
func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Certificate){
		"an artifact without a hash":     func(c *Certificate) { c.Artifacts["public/a"] = nil },
		"a name that is not UTF-8":       func(c *Certificate) { c.Artifacts["\xff"] = c.Artifacts["public/a"] },
		"another name that is not UTF-8": func(c *Certificate) { c.OtherArtifacts = map[string]string{"\xff": "link"} },
		"a task that is not UTF-8":       func(c *Certificate) { c.Task = json.RawMessage(strings.Replace(definition, "list", "\xff", 1)) },
		"no task":                        func(c *Certificate) { c.Task = nil },
		"a task with a member twice": func(c *Certificate) {
			c.Task = json.RawMessage(strings.Replace(definition, `"n":null`, `"n":1,"n":2`, 1))
		},
		"no environment":                    func(c *Certificate) { c.Environment = nil },
		"no worker":                         func(c *Certificate) { c.WorkerID = "" },
		"a run before the first":            func(c *Certificate) { c.RunID = -1 },
		"an artifact with data and without": func(c *Certificate) { c.OtherArtifacts = map[string]string{"public/a": "error"} },
		"what the task wrote is no object":  func(c *Certificate) { c.Unverified = json.RawMessage(`[]`) },
		"a task with a workerType in capital": func(c *Certificate) {
			c.Task = json.RawMessage(strings.Replace(definition, "workerType", "WorkerType", 1))
		},
	} {
		c := sample()
		spoil(c)
		if text, err := c.Encode(); err == nil {
			t.Errorf("%s: encoded as\n%s", name, text)
		}
	}
}

// TestVersionOneSchema checks certificates against what every verifier demands
// of version 1.
func TestVersionOneSchema(t *testing.T) {
	t.Parallel()
	const strings = `{"type": "array", "items": {"type": "string"}, "uniqueItems": true}`
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(`{
		"type": "object",
		"required": ["artifacts", "chainOfTrustVersion", "environment", "runId", "task", "taskId", "workerGroup", "workerId"],
		"properties": {
			"artifacts": {"type": "object"}, "chainOfTrustVersion": {"const": 1}, "environment": {"type": "object"}, "runId": {"type": "number"},
			"taskId": {"type": "string"}, "workerGroup": {"type": "string"}, "workerId": {"type": "string"},
			"task": {
				"type": "object",
				"required": ["dependencies", "payload", "scopes", "taskGroupId", "workerType"],
				"properties": {
					"dependencies": ` + strings + `, "scopes": ` + strings + `,
					"payload": {"type": "object"}, "taskGroupId": {"type": "string"}, "workerType": {"type": "string"}
				}
			}
		}
	}`)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("v1.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("v1.json")
	if err != nil {
		t.Fatal(err)
	}
	c := sample()
	c.OtherArtifacts, c.Unverified = map[string]string{"public/live.log": "link"}, json.RawMessage("{}")
	for _, text := range []string{encode(t, sample()), encode(t, c), minimal} {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%v of\n%s", err, text)
		}
	}
}

func FuzzReadUnverified(f *testing.F) {
	plain, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	want, err := Parse(plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"taskId": "x", "TASKID": {"__proto__": [1.50]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		said, err := ReadUnverified(text)
		if err != nil {
			return
		}
		c := sample()
		c.Unverified = said
		signed, err := c.Encode()
		if err != nil {
			t.Fatalf("accepted, but cannot be certified: %v", err)
		}
		got, err := Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		got.Unverified = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the task changed the certificate (-want +got):\n%s", diff)
		}
	})
}
