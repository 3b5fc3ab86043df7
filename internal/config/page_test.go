package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/pagetest"
	"github.com/taskcluster/generic-worker/schemas"
)

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
	pagetest.Compare(t, "../../docs/configuration.md", map[string]string{
		"settings": tables[true].String(), "settings without effect": tables[false].String(),
	}, *update)
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
