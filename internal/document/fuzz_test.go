package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"go.yaml.in/yaml/v3"
)

// FuzzDocument checks what holds for every input: it is refused with Problems or
// read, and what was read in one way is the same in every other way.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "a: 1\nb: [x, 'y', \"z\"]\n", `{"a":[1,2.5e3,"\ud83d\ude00"],"b":{"c":null}}`, "- &a x\n- *a\n", "a: |\n  b\n",
		"!!str x", "<<: {a: 1}", "? a\n: b\n", "--- a\n--- b\n", "a: 0o17\n", "{a: b, c: [d, e,],}", "\uFEFFa", "a: !b c",
		"a: &a [*a]", "%YAML 1.1\n---\na", "'", "{\"a\":1,\"a\":2}", "[1e999]", "\"\\ud800\"", "a\x00", "\t", "#", "-", "? ", ": ",
	} {
		f.Add([]byte(seed))
	}
	schema, err := Compile("test.json", []byte(testSchema))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		strict, err := ParseJSON("x", data)
		isProblems(t, err)
		if err == nil {
			if !json.Valid(data) {
				t.Fatal("took what is not JSON")
			}
			agreesWithJSON(t, strict, data)
		}
		doc, err := Parse("x", data)
		isProblems(t, err)
		if err != nil {
			return
		}
		if strict != nil && !bytes.Equal(strict.JSON(), doc.JSON()) {
			t.Fatalf("read differently: %s and %s", strict.JSON(), doc.JSON())
		}
		again, err := ParseJSON("x", doc.JSON())
		if err != nil {
			t.Fatalf("refuses its own %s: %v", doc.JSON(), err)
		}
		if !bytes.Equal(again.JSON(), doc.JSON()) {
			t.Fatalf("got %s from %s", again.JSON(), doc.JSON())
		}
		_ = doc.Check(schema).Error()
		if strict == nil {
			agreesWithYAML(t, doc, data)
		}
	})
}

func isProblems(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	problems, ok := errors.AsType[Problems](err)
	if !ok || len(problems) == 0 {
		t.Fatalf("got %v, want Problems", err)
	}
	for _, problem := range problems {
		if problem.What == "" {
			t.Fatalf("a problem says nothing: %+v", problem)
		}
	}
}

func agreesWithJSON(t *testing.T, doc *Document, data []byte) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var want any
	if err := decoder.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if !same(doc.Value(), want) {
		t.Fatalf("got %v, encoding/json has %v", doc.Value(), want)
	}
}

func agreesWithYAML(t *testing.T, doc *Document, data []byte) {
	t.Helper()
	var want any
	if err := yaml.Unmarshal(bytes.TrimPrefix(data, []byte(byteOrderMark)), &want); err != nil {
		t.Fatalf("the YAML package refuses it: %v", err)
	}
	if !same(doc.Value(), want) {
		t.Fatalf("got %v, the YAML package has %v", doc.Value(), want)
	}
}

// same compares values of different readers: numbers by what they amount to, and
// dates, which are text here, by being dates there.
func same(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for key, value := range w {
			if item, ok := g[key]; !ok || !same(item, value) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !same(g[i], w[i]) {
				return false
			}
		}
		return true
	case json.Number:
		g, ok := got.(json.Number)
		return ok && rat(g).Cmp(rat(w)) == 0
	case int, int64, uint64:
		g, ok := got.(json.Number)
		text, _ := json.Marshal(w)
		return ok && rat(g).Cmp(rat(json.Number(text))) == 0
	case float64:
		g, ok := got.(json.Number)
		if !ok {
			return false
		}
		value, _ := g.Float64()
		return value == w
	case string, bool, nil:
		return got == want
	default: // a time
		_, ok := got.(string)
		return ok
	}
}

func rat(n json.Number) *big.Rat {
	r, _ := new(big.Rat).SetString(n.String())
	return r
}
