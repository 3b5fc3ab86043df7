package document

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseJSONRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                {"", "x:1:1: is empty"},
		"white space":            {" \n\t", "x:1:1: is empty"},
		"half":                   {"{\"a\":\n  [1", "x:2:4: is not JSON: unexpected end of JSON input"},
		"trailing data":          {"{}\n{}", "x:2:1: is not JSON: invalid character '{' after top-level value"},
		"comma at the end":       {"[1,\n]", "x:2:1: is not JSON: invalid character ']' looking for beginning of value"},
		"byte order mark":        {"\uFEFF{}", "x:1:1: starts with a byte order mark; save it as UTF-8 without one"},
		"invalid UTF-8":          {"{\"é\":\n \"\xff\"}", "x:2:3: is not UTF-8: it has the byte 0xff here; save it as UTF-8"},
		"UTF-16":                 {"\xff\xfe{\x00}\x00", "x:1:1: is not UTF-8: it has the byte 0xff here; save it as UTF-8"},
		"surrogate in UTF-8":     {"\"\xed\xa0\x80\"", "x:1:2: is not UTF-8: it has the byte 0xed here; save it as UTF-8"},
		"raw NUL":                {"\"\x00\"", `x:1:2: is not JSON: invalid character '\x00' in string literal`},
		"NUL":                    {`["a\u0000b"]`, "x:1:2: /0: has the character NUL in it; remove the character"},
		"NUL in a key":           {`[{"a\u0000":1}]`, "x:1:3: /0: has a key with the character NUL in it; remove the character"},
		"high surrogate alone":   {`["\ud800"]`, "x:1:2: /0: has half of a surrogate pair in it; write the character itself"},
		"high surrogate twice":   {`["\ud800\ud800"]`, "x:1:2: /0: has half of a surrogate pair in it; write the character itself"},
		"low surrogate first":    {`["\uDC00\uD800"]`, "x:1:2: /0: has half of a surrogate pair in it; write the character itself"},
		"high surrogate, letter": {`["\ud800x\udc00"]`, "x:1:2: /0: has half of a surrogate pair in it; write the character itself"},
		"surrogate in a key":     {`{"\ud800":1}`, "x:1:2: has a key with half of a surrogate pair in it; write the character itself"},
		"duplicate key":          {"{\"a\":1,\n\"b\":{\"c\":1,\n \"c\":1},\n\"a\":2}", "x:3:2: /b/c: is there twice; remove one of the two\nx:4:1: /a: is there twice; remove one of the two"},
		"duplicate key, escaped": {`{"a":1,"\u0061":1}`, "x:1:8: /a: is there twice; remove one of the two"},
		"huge exponent":          {`[1e309,-1e-309]`, "x:1:2: /0: is a number with too many digits; put it in quotes if it is text\nx:1:8: /1: is a number with too many digits; put it in quotes if it is text"},
		"absurd exponent":        {`1e99999999999999999999`, "x:1:1: is a number with too many digits; put it in quotes if it is text"},
		"many digits":            {strings.Repeat("9", 101), "x:1:1: is a number with too many digits; put it in quotes if it is text"},
		"deep lists":             {strings.Repeat("[", 102) + strings.Repeat("]", 102), "x:1:102: /0/0/0: is nested more than 100 deep"},
		"very deep lists":        {strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "x:1:10001: is not JSON: invalid character '[' exceeded max depth"},
		"deep objects":           {strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), "x:1:506: /a/a/a: is nested more than 100 deep"},
		"too many values":        {"[" + strings.Repeat("1,", MaxValues-1) + "1]", "x:1:100000: /49999: is one value too many: a document holds at most 50000"},
		"too long":               {`"` + strings.Repeat("a", MaxBytes-1) + `"`, "x: is longer than 10 MiB; move large data into a file that the task downloads"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseJSON("x", []byte(test.text))
			refused(t, err, test.want)
		})
	}
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want\n%s", want)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {"", "x.yml:1:1: is empty"},
		"a comment":          {"# nothing\n", "x.yml:1:1: is empty"},
		"two documents":      {"a: 1\n---\nb: 2\n", "x.yml:2:1: holds more than one YAML document; remove the second one and the line ---"},
		"bad second":         {"a: 1\n---\n'\n", "x.yml:3:1: is not YAML: found unexpected end of stream"},
		"tab":                {"a:\n\tb: 1\n", "x.yml:2:1: is not YAML: found character that cannot start any token"},
		"bad indentation":    {"a: b\n  c: d\n", "x.yml:2:1: is not YAML: mapping values are not allowed in this context"},
		"half a list":        {"a: [1, 2\n", "x.yml:1:1: is not YAML: did not find expected ',' or ']'"},
		"control character":  {"a: \"\x01\"\n", "x.yml:1:1: is not YAML: control characters are not allowed"},
		"unknown alias":      {"a: *b\n", "x.yml:1:1: is not YAML: unknown anchor 'b' referenced"},
		"invalid UTF-8":      {"a: 1\nb: \xe9\n", "x.yml:2:4: is not UTF-8: it has the byte 0xe9 here; save it as UTF-8"},
		"NUL":                {`a: "x\0y"`, "x.yml:1:4: /a: has the character NUL in it; remove the character"},
		"NUL in a key":       {`"x\0y": 1`, "x.yml:1:1: has a key with the character NUL in it; remove the character"},
		"duplicate key":      {"a: 1\nb:\n  c: 1\n  'c': 2\na: 3\n", "x.yml:4:3: /b/c: is there twice; remove one of the two\nx.yml:5:1: /a: is there twice; remove one of the two"},
		"merge key":          {"a: &a {b: 1}\nc:\n  <<: *a\n", "x.yml:3:3: /c: has a merge key <<; write the keys out"},
		"tag":                {"a: !!int \"1\"\nb: !secret x\nc: !!binary aGk=\n", "x.yml:1:4: /a: has the tag \"!!int\"; remove the tag; text can be put in quotes\nx.yml:2:4: /b: has the tag \"!secret\"; remove the tag; text can be put in quotes\nx.yml:3:4: /c: has the tag \"!!binary\"; remove the tag; text can be put in quotes"},
		"tag on an object":   {"a: !!map {b: 1}\n", "x.yml:1:4: /a: has the tag \"!!map\"; remove the tag; text can be put in quotes"},
		"tag on a key":       {"!!str a: 1\n", "x.yml:1:1: has a tag on the key \"a\"; remove the tag"},
		"number as key":      {"1: a\nenv: {2.5: b}\n", "x.yml:1:1: has the key 1, which is not text; put the key in quotes\nx.yml:2:7: /env: has the key 2.5, which is not text; put the key in quotes"},
		"constant as key":    {"true: a\n~: b\n", "x.yml:1:1: has the key true, which is not text; put the key in quotes\nx.yml:2:1: has the key ~, which is not text; put the key in quotes"},
		"list as key":        {"? [a]\n: b\n", "x.yml:1:3: has a list or an object as a key; use text as keys"},
		"octal":              {"a: 0o17\nb: 017\nc: 0\n", bothWays("1:4", "/a") + "\n" + bothWays("2:4", "/b")},
		"other bases":        {"[0x1F, 0b101, -0x1f]\n", bothWays("1:2", "/0") + "\n" + bothWays("1:8", "/1") + "\n" + bothWays("1:15", "/2")},
		"separators":         {"[1_000, +5, .5, 5., 1_0.5]\n", bothWays("1:2", "/0") + "\n" + bothWays("1:9", "/1") + "\n" + bothWays("1:13", "/2") + "\n" + bothWays("1:17", "/3") + "\n" + bothWays("1:21", "/4")},
		"not finite":         {"[.inf, -.Inf, .NaN]\n", bothWays("1:2", "/0") + "\n" + bothWays("1:8", "/1") + "\n" + bothWays("1:15", "/2")},
		"huge exponent":      {"a: 1e999\n", "x.yml:1:4: /a: is a number with too many digits; put it in quotes if it is text"},
		"a commit as number": {"rev: 12345e67890\n", "x.yml:1:6: /rev: is a number with too many digits; put it in quotes if it is text"},
		"alias in itself":    {"a: &a [*a]\n", "x.yml:1:8: /a/0/0: is nested more than 100 deep"},
		"alias bomb":         {bomb(), "x.yml:2:8: /e/2/9/8/0: is one value too many: a document holds at most 50000"},
		"deep":               {strings.Repeat("[", 102) + strings.Repeat("]", 101) + ",]", "x.yml:1:102: /0/0/0: is nested more than 100 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("x.yml", []byte(test.text))
			refused(t, err, test.want)
		})
	}
}

func bothWays(at, pointer string) string {
	return "x.yml:" + at + ": " + pointer + ": is a number to some readers of YAML and text to others; put it in quotes if it is text, or write a plain decimal number"
}

// bomb is a few lines that stand for a million values.
func bomb() string {
	var b strings.Builder
	b.WriteString("a: &a [x,x,x,x,x,x,x,x,x,x]\n")
	for _, step := range []string{"ba", "cb", "dc", "ed", "fe"} {
		b.WriteString(step[:1] + ": &" + step[:1] + " [" + strings.TrimSuffix(strings.Repeat("*"+step[1:]+",", 10), ",") + "]\n")
	}
	return b.String()
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want string }{
		"constants":         {"x.yml", "[null, ~, true, True, FALSE, Null, {a: , b}]", `[null,null,true,true,false,null,{"a":null,"b":null}]`},
		"words are text":    {"x.yml", "[yes, No, on, off, y, n, nan, inf, Infinity, x, -, ., .., 1.2.3, 0x, 0xg, 1-2, 12:30, _1, 1a, 2026-01-31, 2026-01-31T12:00:00Z, '5', \"true\", 'null', --1, +-1, e5, 1e, '']", `["yes","No","on","off","y","n","nan","inf","Infinity","x","-",".","..","1.2.3","0x","0xg","1-2","12:30","_1","1a","2026-01-31","2026-01-31T12:00:00Z","5","true","null","--1","+-1","e5","1e",""]`},
		"numbers":           {"x.yml", "[0, -0, 1, -17, 9007199254740993, 18446744073709551617, 1e3, 1.0, -2.50e1, 1.5, 1E-2, 1e20]", `[0,0,1,-17,9007199254740993,18446744073709551617,1000,1,-25,1.5,1E-2,100000000000000000000]`},
		"same in JSON":      {"x.json", "[0, -0, 1, -17, 9007199254740993, 18446744073709551617, 1e3, 1.0, -2.50e1, 1.5, 1E-2, 1e20, -0.0, 0e0]", `[0,0,1,-17,9007199254740993,18446744073709551617,1000,1,-25,1.5,1E-2,100000000000000000000,0,0]`},
		"order of keys":     {"x.yml", "z: 1\na: {y: 2, b: []}\nm: {}\n", `{"z":1,"a":{"y":2,"b":[]},"m":{}}`},
		"texts":             {"x.yml", "a: |\n  one\n  two\nb: >-\n  one\n  two\nc: \"\\u00e9\\t\\\"\"\n", `{"a":"one\ntwo\n","b":"one two","c":"é\t\""}`},
		"aliases":           {"x.yml", "a: &a {b: [1]}\nc: *a\nd: &k e\n*k : *k\n", `{"a":{"b":[1]},"c":{"b":[1]},"d":"e","e":"e"}`},
		"one document":      {"x.yml", "--- # the only one\na: 1\n...\n", `{"a":1}`},
		"byte order mark":   {"x.yml", "\uFEFFa: 1\n", `{"a":1}`},
		"mark before JSON":  {"x.json", "\uFEFF{\"a\":1}", `{"a":1}`},
		"JSON without name": {"x", "{\"a\":\t[1,\n\t\"\\ud83d\\ude00\"]}", `{"a":[1,"😀"]}`},
		"flow with comma":   {"generic-worker.config", "{\"a\": [1, 2,], }", `{"a":[1,2]}`},
		"carriage returns":  {"x.yml", "a: 1\r\nb:\r\n- c\r\n", `{"a":1,"b":["c"]}`},
		"a scalar":          {"x.yml", "hello\n", `"hello"`},
		"null":              {"x.yml", "null\n", `null`},
		"long key":          {"x.yml", strings.Repeat("k", 500) + ": 1\n", `{"` + strings.Repeat("k", 500) + `":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := Parse(test.file, []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(doc.JSON())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNameDecidesJSON(t *testing.T) {
	t.Parallel()
	_, err := Parse("x.JSON", []byte("a: 1"))
	refused(t, err, "x.JSON:1:1: is not JSON: invalid character 'a' looking for beginning of value")
}

func TestDecode(t *testing.T) {
	t.Parallel()
	doc, err := Parse("x.yml", []byte("a: 9007199254740993\nb: {c: [x, null]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		A int64
		B map[string][]*string
	}
	if err := doc.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.A != 9007199254740993 || len(got.B["c"]) != 2 || *got.B["c"][0] != "x" || got.B["c"][1] != nil {
		t.Errorf("got %+v", got)
	}
	want := map[string]any{
		"a": json.Number("9007199254740993"),
		"b": map[string]any{"c": []any{"x", nil}},
	}
	if diff := cmp.Diff(want, doc.Value()); diff != "" {
		t.Error(diff)
	}
	var wrong []int
	if err := doc.Decode(&wrong); err == nil || !strings.HasPrefix(err.Error(), "cannot decode x.yml: ") {
		t.Errorf("got %v", err)
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	doc, err := ParseJSON("x", []byte("{\"é\": 1, \"a/b\":\n  [true, {\"~\": \"\\\"\" , \"k\":[]}]\n}"))
	if err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string]string{
		"":              "x:1:1: is odd",
		"/é":            "x:1:2: /é: is odd",
		"/a~1b":         "x:1:10: /a~1b: is odd",
		"/a~1b/0":       "x:2:4: /a~1b/0: is odd",
		"/a~1b/1":       "x:2:10: /a~1b/1: is odd",
		"/a~1b/1/~0":    "x:2:11: /a~1b/1/~0: is odd",
		"/a~1b/1/k":     "x:2:23: /a~1b/1/k: is odd",
		"/a~1b/1/none":  "x:2:10: /a~1b/1/none: is odd",
		"/a~1b/7/x":     "x:1:10: /a~1b/7/x: is odd",
		"/a~1b/x":       "x:1:10: /a~1b/x: is odd",
		"/é/below/that": "x:1:2: /é/below/that: is odd",
	} {
		if got := doc.Problem(pointer, "is odd", "").String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	part, ok := doc.At("/a~1b/1")
	if !ok {
		t.Fatal("found no part")
	}
	if got, want := part.Problem("/k", "is odd", "").String(), "x:2:23: /a~1b/1/k: is odd"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(part.JSON()), `{"~":"\"","k":[]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, ok := doc.At("/a~1b/2"); ok {
		t.Error("found a part that does not exist")
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	var many Problems
	for i := range 21 {
		many = append(many, Problem{Pointer: "/p", What: "is " + strings.Repeat("x", i), Line: i})
	}
	text := many.Error()
	if n := strings.Count(text, "\n"); n != 19 || !strings.HasSuffix(text, "\n... and 2 more") {
		t.Errorf("got %s", text)
	}
	if text := many[:20].Error(); strings.Contains(text, "more") || strings.Count(text, "\n") != 19 {
		t.Errorf("got %s", text)
	}
	for name, test := range map[string]struct {
		problem Problem
		want    string
	}{
		"pointer":     {Problem{Pointer: "/a", What: "is odd"}, "/a: is odd"},
		"remedy":      {Problem{Pointer: "/a", What: "is odd", Remedy: "add one"}, "/a: is odd; add one"},
		"name":        {Problem{Name: "x", Pointer: "/a", What: "is odd"}, "x: /a: is odd"},
		"position":    {Problem{Name: "x", Pointer: "/a", Line: 3, Column: 4, What: "is odd"}, "x:3:4: /a: is odd"},
		"no pointer":  {Problem{What: "is odd"}, "is odd"},
		"bad pointer": {Problem{Pointer: "/a\nb\x1b[31m\u202e", What: "is odd"}, `/a\nb\x1b[31m\u202e: is odd`},
		"long":        {Problem{Pointer: "/" + strings.Repeat("é", 200), What: "is odd"}, "/" + strings.Repeat("é", 119) + "…: is odd"},
	} {
		if got := test.problem.String(); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	if got, want := Quote(strings.Repeat("é", 41)), `"`+strings.Repeat("é", 40)+`…"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := Quote("a\"\n\x00"), `"a\"\n\x00"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"maxRunTime", "command", "env", "artifacts", "features", "osGroups", "mounts"}
	for name, want := range map[string]string{
		"maxruntime": "maxRunTime", "MAXRUNTIME": "maxRunTime", "maxRunTimes": "maxRunTime", "max_run_time": "maxRunTime",
		"comand": "command", "commnad": "command", "commands": "command", "cmd": "", "artefacts": "artifacts",
		"enviroment": "", "evn": "env", "en": "env", "x": "", "": "", "feature": "features", "oSgroup": "osGroups",
		"ünts": "", strings.Repeat("command", 100): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := Nearest("ab", []string{"xb", "ax"}); got != "xb" {
		t.Errorf("of two equally near: got %q, want the first", got)
	}
	if got := Nearest("x", nil); got != "" {
		t.Errorf("of none: got %q", got)
	}
}
