//go:build unix

package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/features/all"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
	"github.com/taskcluster/generic-worker/payload"
)

const page = "../docs/payload.md"

// part is what the page shows of one property of a schema.
type part struct {
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
	Enum        []string        `json:"enum"`
	Properties  json.RawMessage `json:"properties"`
	Required    []string        `json:"required"`
	Defs        map[string]part `json:"$defs"`
	name        string
}

// TestPage sees to it that the tables of docs/payload.md are those of the schema
// and of the features of this build; -update writes them.
func TestPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("payload-posix.json")
	if err != nil {
		t.Fatal(err)
	}
	var root part
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(golden)
	for name, table := range map[string]string{
		"properties": properties(t, root),
		"artifact":   properties(t, root.Defs["artifact"]),
		"features":   features(t, root),
	} {
		want = between(t, want, name, table)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(golden)); diff != "" {
		t.Errorf("docs/payload.md is out of date; run this test with -update (-want +got):\n%s", diff)
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

// inOrder returns properties in the order of the schema.
func inOrder(t *testing.T, text json.RawMessage) []part {
	t.Helper()
	var parts []part
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		p := part{name: fmt.Sprint(name)}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	return parts
}

func (p part) usual() string {
	switch string(p.Default) {
	case "":
		return "–"
	case "{}", "[]":
		return "empty"
	}
	return "`" + strings.Trim(string(p.Default), `"`) + "`"
}

// inCell writes a text so that it stays one cell, and no markup.
func inCell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
}

// properties is a table of an object's properties, those of objects in it under
// dotted names. Features have a table of their own.
func properties(t *testing.T, of part) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("\n| Property | Type | Default | Meaning |\n|---|---|---|---|\n")
	for _, p := range inOrder(t, of.Properties) {
		rows := []part{p}
		if p.Properties != nil && p.name != "features" {
			for _, inner := range inOrder(t, p.Properties) {
				inner.name = p.name + "." + inner.name
				rows = append(rows, inner)
			}
		}
		for _, r := range rows {
			kind := r.Type
			if len(r.Enum) > 0 {
				kind = "`" + strings.Join(r.Enum, "`, `") + "`"
			}
			usual := r.usual()
			if slices.Contains(of.Required, r.name) {
				usual = "**required**"
			}
			note := ""
			if _, lacks := asked()[r.name]; lacks && !offered(r.name) {
				note = " **Not offered by this version.**"
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s%s |\n", r.name, kind, usual, inCell(r.Description), note)
		}
	}
	return out.String()
}

func features(t *testing.T, root part) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("\n| Feature | Default | This version | Meaning |\n|---|---|---|---|\n")
	for _, p := range inOrder(t, root.Properties) {
		if p.name != "features" {
			continue
		}
		for _, f := range inOrder(t, p.Properties) {
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.name, f.usual(), standing(t, f.name), inCell(f.Description))
		}
	}
	return out.String()
}

// standing is what happens to a task that asks for a feature.
func standing(t *testing.T, name string) string {
	t.Helper()
	p, err := payload.Parse(fmt.Appendf(nil, `{"command":[["true"]],"maxRunTime":1,"features":{%q:true}}`, name))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case offered(name):
		return "offered"
	case slices.Contains(p.Requests(), name):
		return "not offered: `malformed-payload`"
	}
	return "no effect"
}

// asked are payloads that ask for what is no member of features.
func asked() map[string]string {
	return map[string]string{
		"encryptedEnv": `{"command":[["true"]],"maxRunTime":1,"encryptedEnv":["aGVsbG8="]}`,
		"mounts":       `{"command":[["true"]],"maxRunTime":1,"mounts":[{"file":"a","content":{"raw":"b"}}]}`,
		"osGroups":     `{"command":[["true"]],"maxRunTime":1,"osGroups":["docker"]}`,
	}
}

// TestAsked sees to it that the page knows all properties that ask for a feature.
func TestAsked(t *testing.T) {
	t.Parallel()
	for name, text := range asked() {
		p, err := payload.Parse([]byte(text))
		if err != nil || !slices.Contains(p.Requests(), name) {
			t.Errorf("%s asks for %v: %v", name, p.Requests(), err)
		}
	}
}

// offered tells whether this build has a feature.
func offered(name string) bool {
	for _, f := range all.List(all.Config{Proxy: &taskclusterproxy.Config{}}, livelog.New(livelog.Config{}, slog.New(slog.DiscardHandler))) {
		if f.Name() == name {
			return true
		}
	}
	return false
}
