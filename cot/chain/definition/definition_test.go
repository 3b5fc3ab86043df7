package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, row := range []struct{ name, text, reason string }{
		{"nothing", "", "unexpected EOF"},
		{"no object", "[]", "it is no object"},
		{"the same name twice", `{"a":1,"a":1}`, `the member "a" twice`},
		{"the same name twice, once escaped", `{"a":1,"\u0061":1}`, `the member "a" twice`},
		{"the same name twice inside", `{"b":[{"a":1,"a":2}]}`, `the member "a" twice`},
		{"a second value", `{} {}`, "more after its value"},
		{"rubbish at the end", `{}x`, "more after its value"},
		{"a byte order mark", "\ufeff{}", "invalid character"},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", "not valid UTF-8"},
		{"NUL in a name", `{"a\u0000":1}`, "NUL"},
		{"half of a character", `{"a":"\ud800"}`, "half of a character"},
		{"the other half", `{"a":"x\udc00"}`, "half of a character"},
		{"halves in the wrong order", `["\uDC00\uD800"]`, "half of a character"},
		{"half of a character and a backslash", `["\ud800\\udc00"]`, "half of a character"},
		{"half of a character in a name", `{"\ud800":1}`, "half of a character"},
		{"cut off in an object", `{"a":1`, "unexpected EOF"},
		{"cut off in a list", `{"a":[1`, "unexpected EOF"},
		{"too deep", deep(201), "nested more than 200"},
		{"much too deep", strings.Repeat("[", 1_000_000), "nested more than 200"},
	} {
		if _, err := Parse([]byte(row.text)); err == nil || !strings.Contains(err.Error(), row.reason) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	for _, good := range []string{`{"a":"\ud83d\uDE00 \\ud800 \ufffd"}`, `{}`, " {\"a\": null}\n", deep(200), `{"a":1,"A":2}`} {
		if _, err := Parse([]byte(good)); err != nil {
			t.Errorf("%.30s: %v", good, err)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		a, b   string
		path   string
		differ bool
	}{
		{`1`, `1`, "", false},
		{`1`, `1.0`, "", false},
		{`100`, `1e2`, "", false},
		{`0.001`, `1E-3`, "", false},
		{`-0`, `0`, "", false},
		{`9007199254740993`, `9007199254740992`, "", true},
		{`1`, `-1`, "", true},
		{`1`, `10`, "", true},
		{`1e999999999999`, `1e999999999999`, "", false},
		{`1e999999999999`, `1e999999999998`, "", true},
		{`1`, `"1"`, "", true},
		{`1`, `true`, "", true},
		{`null`, `false`, "", true},
		{`null`, `{}`, "", true},
		{`"a"`, `[]`, "", true},
		{`[]`, `{}`, "", true},
		{`{}`, `[]`, "", true},
		{`{"a":{"b":[1,{"c":2}]}}`, `{"a":{"b":[1,{"c":3}]}}`, "/a/b/1/c", true},
		{`{"a":null}`, `{}`, "/a", true},
		{`{}`, `{"a":null}`, "/a", true},
		{`[1]`, `[1,2]`, "", true},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, "", false},
	} {
		a, errA := ParseValue([]byte(row.a))
		b, errB := ParseValue([]byte(row.b))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if path, differ := Diff(a, b); path != row.path || differ != row.differ {
			t.Errorf("Diff(%s, %s) is %q, %t", row.a, row.b, path, differ)
		}
		if Equal(b, a) == row.differ {
			t.Errorf("Equal(%s, %s) is %t", row.b, row.a, row.differ)
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	o, err := Parse([]byte(`{"a":{"t":"text","n":null,"l":["x","y"],"m":["x",1],"z":0,"o":{"p":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if o.Text("a", "t") != "text" || o.Text("a", "l") != "" || o.Text("b", "t") != "" || o.Text("a", "t", "u") != "" {
		t.Error("Text is wrong")
	}
	if !o.Has("a", "n") || o.Has("a", "x") || o.Has("a", "t", "x") {
		t.Error("Has is wrong")
	}
	if o.Object("a", "o") == nil || o.Object("a", "t") != nil || len(o.List("a", "l")) != 2 || o.List("a") != nil {
		t.Error("Object or List is wrong")
	}
	for _, row := range []struct {
		name  string
		texts []string
		ok    bool
	}{{"l", []string{"x", "y"}, true}, {"m", nil, false}, {"t", nil, false}, {"absent", nil, true}} {
		if texts, ok := o.Texts("a", row.name); ok != row.ok || cmp.Diff(texts, row.texts) != "" {
			t.Errorf("Texts of %s is %q, %t", row.name, texts, ok)
		}
	}
}

func TestTruthy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`null`: false, `false`: false, `0`: false, `0.0`: false, `-0e5`: false, `""`: false, `[]`: false, `{}`: false,
		`true`: true, `1`: true, `1e-9`: true, `"0"`: true, `[0]`: true, `{"a":null}`: true,
	} {
		value, err := ParseValue([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if Truthy(value) != want {
			t.Errorf("Truthy(%s) is %t", text, !want)
		}
	}
}

// FuzzParse compares with encoding/json, which accepts all that is accepted
// here and reads it alike.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,null,true,"x"]}`, `{"a":1,"a":2}`, `[`, `{"":{}}`, `"\ud800"`, `"\\ud83d\uDE00\ud83d\\uDE00"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := ParseValue(data)
		if err != nil {
			return
		}
		if !Equal(value, value) {
			t.Error("a value is not equal to itself")
		}
		if strings.Contains(fmt.Sprintf("%q", value), "\ufffd") && !bytes.ContainsRune(data, '\ufffd') && !bytes.Contains(bytes.ToLower(data), []byte(`\ufffd`)) {
			t.Errorf("%s has half of a character", data)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var again, want any
		if json.Unmarshal(encoded, &again) != nil || json.Unmarshal(data, &want) != nil {
			return // a number too large for encoding/json
		}
		if !reflect.DeepEqual(again, want) {
			t.Errorf("%s was read as %s", data, encoded)
		}
	})
}
