package document

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testSchema = `{
  "type": "object", "additionalProperties": false, "required": ["name"],
  "properties": {
    "name": {"type": "string", "minLength": 2, "maxLength": 50, "examples": ["joe"]},
    "count": {"type": "integer", "minimum": 1, "maximum": 10, "exclusiveMaximum": 12},
    "share": {"type": "number", "maximum": 0.25},
    "on": {"type": "boolean"},
    "either": {"type": ["string", "null"]},
    "kind": {"enum": ["file", "directory", 3]},
    "three": {"const": 3},
    "id": {"type": "string", "pattern": "^[a-z]+$", "$comment": "made of small letters", "examples": ["abc"]},
    "raw": {"type": "string", "pattern": "^x"},
    "at": {"type": "string", "format": "date-time", "default": "2031-01-01T00:00:00Z"},
    "list": {"type": "array", "minItems": 2, "maxItems": 4, "uniqueItems": true, "items": {"type": "string"}},
    "token": {"type": "string", "minLength": 4, "writeOnly": true},
    "secrets": {"$ref": "#/$defs/secrets"},
    "never": false,
    "named": {"type": "object", "minProperties": 1, "maxProperties": 2},
    "loose": {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
    "pair": {"type": "object", "properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}},
    "shape": {"oneOf": [
      {"title": "a circle: r", "type": "object", "additionalProperties": false, "required": ["r"], "properties": {"r": {"type": "number"}}},
      {"title": "a box: w and h", "type": "object", "additionalProperties": false, "required": ["w", "h"], "properties": {"w": {"type": "number"}, "h": {"type": "number"}}},
      {"title": "a name", "type": "string", "minLength": 3}]},
    "any": {"anyOf": [{"title": "a number", "type": "number"}, {"title": "a list", "type": "array", "items": {"type": "number"}}]},
    "both": {"oneOf": [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}]},
    "all": {"allOf": [{"type": "object", "required": ["a"]}, {"required": ["b"]}]},
    "when": {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}},
    "not": {"not": {"type": "string"}},
    "even": {"multipleOf": 2}
  },
  "$defs": {"secrets": {"type": "object", "writeOnly": true, "additionalProperties": {"type": "string", "maxLength": 5}}}
}`

func TestCheck(t *testing.T) {
	t.Parallel()
	schema, err := Compile("test.json", []byte(testSchema))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 60)
	for name, test := range map[string]struct{ text, want string }{
		"right":              {`{"name":"joe","count":1e1,"share":0.25,"either":null,"kind":3,"secrets":{"a":"b"},"shape":{"w":1,"h":2},"any":[1]}`, ""},
		"missing":            {`{}`, `/name: is missing; add for example "name": "joe"`},
		"not an object":      {`[]`, `must be an object, not a list`},
		"string":             {`{"name":3}`, `/name: must be a string, not the number 3; write "3"`},
		"string and null":    {`{"name":null}`, `/name: must be a string, not null; write for example "joe"`},
		"string and bool":    {`{"name":false}`, `/name: must be a string, not false; write "false"`},
		"short":              {`{"name":"a"}`, `/name: must have at least 2 characters, not 1`},
		"long":               {`{"name":"` + long + `"}`, `/name: must have at most 50 characters, not 60`},
		"integer":            {`{"name":"ab","count":"7"}`, `/count: must be an integer, not the string "7"; write 7`},
		"integer and text":   {`{"name":"ab","count":"seven ` + long + `"}`, `/count: must be an integer, not the string "seven ` + long[:34] + `…"`},
		"fraction":           {`{"name":"ab","count":1.5}`, `/count: must be an integer, not the number 1.5`},
		"small":              {`{"name":"ab","count":0}`, `/count: must be at least 1, not the number 0`},
		"large":              {`{"name":"ab","count":11}`, `/count: must be at most 10, not the number 11`},
		"large fraction":     {`{"name":"ab","share":0.3}`, `/share: must be at most 0.25, not the number 0.3`},
		"number":             {`{"name":"ab","share":"0.1"}`, `/share: must be a number, not the string "0.1"; write 0.1`},
		"boolean":            {`{"name":"ab","on":"Yes"}`, `/on: must be true or false, not the string "Yes"; write true`},
		"boolean and 0":      {`{"name":"ab","on":0}`, `/on: must be true or false, not the number 0; write false`},
		"boolean and 2":      {`{"name":"ab","on":2}`, `/on: must be true or false, not the number 2`},
		"two types":          {`{"name":"ab","either":5}`, `/either: must be null or a string, not the number 5; write "5"`},
		"enum":               {`{"name":"ab","kind":"dirctory"}`, `/kind: must be one of "file", "directory", 3, not the string "dirctory"; did you mean "directory"?`},
		"enum and list":      {`{"name":"ab","kind":[]}`, `/kind: must be one of "file", "directory", 3, not a list`},
		"const":              {`{"name":"ab","three":4}`, `/three: must be 3, not the number 4`},
		"pattern":            {`{"name":"ab","id":"A"}`, `/id: must be made of small letters, not the string "A"; write for example "abc"`},
		"pattern in letters": {`{"name":"ab","raw":"y"}`, `/raw: must match ^x, not the string "y"`},
		"format":             {`{"name":"ab","at":"noon"}`, `/at: must be a date and time with a time zone, not the string "noon"; write for example "2031-01-01T00:00:00Z"`},
		"short list":         {`{"name":"ab","list":["a"]}`, `/list: must have at least 2 items, not 1`},
		"long list":          {`{"name":"ab","list":["a","b","c","d","e"]}`, `/list: must have at most 4 items, not 5`},
		"item twice":         {`{"name":"ab","list":["a","b","a"]}`, `/list: has the same item at 0 and at 2; remove one of the two`},
		"items":              {`{"name":"ab","list":[1,"a",[]]}`, "/list/0: must be a string, not the number 1; write \"1\"\n/list/2: must be a string, not a list"},
		"secret":             {`{"name":"ab","token":12345}`, `/token: must be a string, not a number; put it in quotes`},
		"short secret":       {`{"name":"ab","token":"abc"}`, `/token: must have at least 4 characters, not 3`},
		"secrets":            {`{"name":"ab","secrets":{"a":true,"b":"hunter2","c":null}}`, "/secrets/a: must be a string, not true or false; put it in quotes\n/secrets/b: must have at most 5 characters, not 7\n/secrets/c: must be a string, not null"},
		"never":              {`{"name":"ab","never":1}`, `/never: cannot be used here; remove it`},
		"few keys":           {`{"name":"ab","named":{}}`, `/named: must have at least 1 keys, not 0`},
		"many keys":          {`{"name":"ab","named":{"A":1,"B":1,"C":1}}`, `/named: must have at most 2 keys, not 3`},
		"pattern properties": {`{"name":"ab","loose":{"n_x":"1","y":1}}`, "/loose/n_x: must be an integer, not the string \"1\"; write 1\n/loose/y: must be a string, not the number 1; write \"1\""},
		"pair":               {`{"name":"ab","pair":{"a":1}}`, `/pair: has a, so it must also have b`},
		"first branch":       {`{"name":"ab","shape":{"r":"1"}}`, `/shape/r: must be a number, not the string "1"; write 1`},
		"second branch":      {`{"name":"ab","shape":{"w":1,"x":1}}`, "/shape/h: is missing; add it\n/shape/x: is not a known key; the keys are h, w"},
		"third branch":       {`{"name":"ab","shape":"ab"}`, `/shape: must have at least 3 characters, not 2`},
		"no branch":          {`{"name":"ab","shape":{"q":1}}`, `/shape: must be one of: a circle: r; a box: w and h; a name`},
		"no branch, list":    {`{"name":"ab","shape":[]}`, `/shape: must be one of: a circle: r; a box: w and h; a name, not a list`},
		"any":                {`{"name":"ab","any":["a"]}`, `/any/0: must be a number, not the string "a"`},
		"both":               {`{"name":"ab","both":{"a":1,"b":1}}`, `/both: fits two of the forms it can have; keep the keys of one form only`},
		"all":                {`{"name":"ab","all":{}}`, "/all/a: is missing; add it\n/all/b: is missing; add it"},
		"then":               {`{"name":"ab","when":{"a":1}}`, `/when/b: is missing; add it`},
		"else":               {`{"name":"ab","when":{}}`, `/when/c: is missing; add it`},
		"another keyword":    {`{"name":"ab","not":"x","even":3}`, "/not: does not match the schema\n/even: does not match the schema"},
		"case":               {`{"Name":"joe","COUNT":1}`, "/Name: is not a known key; did you mean name?\n/COUNT: is not a known key; did you mean count?"},
		"typing error":       {`{"name":"ab","cuont":1}`, `/cuont: is not a known key; did you mean count?`},
		"unknown":            {`{"name":"ab","q":1}`, `/q: is not a known key; remove it`},
		"odd keys":           {`{"name":"ab","a/b~c\n":1,"":2}`, "/a~1b~0c\\n: is not a known key; remove it\n/: is not a known key; remove it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := ParseJSON("", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, doc.Check(schema).Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckGivesPositions(t *testing.T) {
	t.Parallel()
	schema, err := Compile("test.json", []byte(testSchema))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Parse("me.yml", []byte("# settings\ncount: many\nlist:\n- a\n- 5\nkid: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `me.yml:2:1: /count: must be an integer, not the string "many"
me.yml:2:1: /name: is missing; add for example "name": "joe"
me.yml:5:3: /list/1: must be a string, not the number 5; write "5"
me.yml:6:1: /kid: is not a known key; did you mean id?`
	if diff := cmp.Diff(want, doc.Check(schema).Error()); diff != "" {
		t.Error(diff)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"not JSON":       {`{`, "cannot read schema s.json: "},
		"not a schema":   {`{"type": 5}`, "cannot compile schema s.json: "},
		"from elsewhere": {`{"$ref": "https://example.com/s.json"}`, "a schema must be complete in itself"},
		"from a file":    {`{"$ref": "file:///etc/passwd"}`, "a schema must be complete in itself"},
		"beside it":      {`{"$ref": "other.json"}`, "a schema must be complete in itself"},
	} {
		if _, err := Compile("s.json", []byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
