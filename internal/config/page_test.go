package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/schemas"
)

const page = "../../docs/configuration.md"

// described is what the page shows of a setting beside what key has.
type described struct {
	Type        types           `json:"type"`
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
	Enum        []string        `json:"enum"`
	Minimum     *json.Number    `json:"minimum"`
	Maximum     *json.Number    `json:"maximum"`
	Secret      bool            `json:"writeOnly"`
	Properties  json.RawMessage `json:"properties"`
}

// TestPage sees to it that the tables of docs/configuration.md are those of the
// schema and of what this build does; -update writes them.
func TestPage(t *testing.T) {
	t.Parallel()
	root, err := readKeys()
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{} // by the dotted name of the setting
	for variable, path := range root.variables() {
		variables[strings.Join(path, ".")] = variable
	}
	var top described
	if err := json.Unmarshal(schemas.Config, &top); err != nil {
		t.Fatal(err)
	}
	used := decoded(reflect.TypeFor[settings]())
	tables := map[bool]*bytes.Buffer{true: {}, false: {}}
	for _, out := range tables {
		out.WriteString("\n| Key | Type | Default | Variable | Meaning |\n|---|---|---|---|---|\n")
	}
	for _, s := range flatten(t, "", top.Properties) {
		first, _, _ := strings.Cut(s.name, ".")
		variable := "–"
		if name := variables[s.name]; name != "" {
			variable = "`" + name + "`"
		}
		note := ""
		if !slices.Contains(used, first) && effective(first) {
			note = " ¹"
		}
		fmt.Fprintf(tables[slices.Contains(used, first)], "| `%s` | %s | %s | %s | %s%s |\n",
			s.name, s.kind(), s.usual(), variable, strings.ReplaceAll(s.Description, "|", `\|`), note)
	}
	golden, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := between(t, string(golden), "settings", tables[true].String())
	want = between(t, want, "settings without effect", tables[false].String())
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(golden)); diff != "" {
		t.Errorf("docs/configuration.md is out of date; run this test with -update (-want +got):\n%s", diff)
	}
}

// between returns the text with what stands between the two comments replaced.
func between(t *testing.T, text, name, content string) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, "<!-- made by a test: "+name+" -->\n")
	_, after, ended := strings.Cut(rest, "<!-- end: "+name+" -->")
	if !ok || !ended {
		t.Fatalf("the page has no place for %q", name)
	}
	return before + "<!-- made by a test: " + name + " -->\n" + content + "\n<!-- end: " + name + " -->" + after
}

// decoded are the keys that the fields of a struct are read from.
func decoded(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		names = append(names, of.Field(i).Tag.Get("json"))
	}
	return names
}

type row struct {
	name string
	described
}

// flatten returns the settings in the order of the schema, those in an object
// under dotted names.
func flatten(t *testing.T, front string, properties json.RawMessage) []row {
	t.Helper()
	var rows []row
	decoder := json.NewDecoder(bytes.NewReader(properties))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		r := row{name: front + fmt.Sprint(name)}
		if err := decoder.Decode(&r.described); err != nil {
			t.Fatal(err)
		}
		if r.Properties != nil {
			rows = append(rows, flatten(t, r.name+".", r.Properties)...)
			continue
		}
		rows = append(rows, r)
	}
	return rows
}

// kind is the type with its bounds, as people write it.
func (d described) kind() string {
	text := strings.Join(d.Type, " or ")
	switch {
	case d.Secret:
		text += ", secret"
	case len(d.Enum) > 0:
		text = "`" + strings.Join(d.Enum, "`, `") + "`"
	case d.Minimum != nil && d.Maximum != nil:
		text += fmt.Sprintf(", %s to %s", *d.Minimum, *d.Maximum)
	}
	return text
}

func (d described) usual() string {
	switch string(d.Default) {
	case "":
		return "–"
	case `""`:
		return "empty"
	}
	return "`" + strings.Trim(string(d.Default), `"`) + "`"
}
