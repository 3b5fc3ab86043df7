//go:build unix

package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/features/all"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/loopback"
	"github.com/taskcluster/generic-worker/features/mounts"
	"github.com/taskcluster/generic-worker/features/resourcemonitor"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
	"github.com/taskcluster/generic-worker/internal/pagetest"
	"github.com/taskcluster/generic-worker/payload"
)

const page = "../docs/payload.md"

// part is what the page shows of one property of a schema.
type part struct {
	Type        any             `json:"type"` // a name or several
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
	Enum        []string        `json:"enum"`
	Properties  json.RawMessage `json:"properties"`
	Required    []string        `json:"required"`
	Title       string          `json:"title"`
	Defs        map[string]part `json:"$defs"`

	Ref      string            `json:"$ref"`
	OneOf    []part            `json:"oneOf"`
	Examples []json.RawMessage `json:"examples"`

	name string
}

// TestPage sees to it that the tables of docs/payload.md are those of the schema
// and of the features of this build; -update writes them.
func TestPage(t *testing.T) {
	t.Parallel()
	root, docker := read(t, "payload-posix.json"), read(t, "payload-docker.json")
	features, others := abilities(t)
	stories := shown(t)
	pagetest.Compare(t, page, map[string]string{
		"properties":      properties(t, root),
		"artifact":        properties(t, root.Defs["artifact"]),
		"features":        table(t, "Feature", features, stories),
		"abilities":       table(t, "What", others, stories),
		"mounts":          forms(t, root, root.Defs["file"], root.Defs["directory"], root.Defs["cache"]),
		"content":         forms(t, root, root.Defs["content"].OneOf...),
		"docker":          properties(t, docker),
		"docker-features": inner(t, docker, "features"),
		"docker-artifact": properties(t, docker.Defs["artifact"]),
	}, *update)
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
			kind := strings.Trim(fmt.Sprint(r.Type), "[]")
			if r.Type == nil {
				kind = "several forms"
			}
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

// forms is a table of the properties of several objects, of which one is meant;
// the first row of each tells what it is.
func forms(t *testing.T, root part, of ...part) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("\n| Form | Property | Type | Meaning |\n|---|---|---|---|\n")
	for _, form := range of {
		title, _, _ := strings.Cut(form.Title, ":")
		for _, p := range inOrder(t, form.Properties) {
			if ref, ok := strings.CutPrefix(p.Ref, "#/$defs/"); ok && p.Description == "" {
				p.Description = root.Defs[ref].Description
			}
			kind := "[as below](#content)"
			if p.Type != nil {
				kind = fmt.Sprint(p.Type)
			}
			if len(p.Enum) > 0 {
				kind = "`" + strings.Join(p.Enum, "`, `") + "`"
			}
			if slices.Contains(form.Required, p.name) {
				kind += ", **required**"
			}
			fmt.Fprintf(&out, "| %s | `%s` | %s | %s |\n", title, p.name, kind, inCell(p.Description))
			title = ""
		}
	}
	return out.String()
}

// inner is a table of the properties of one property.
func inner(t *testing.T, root part, name string) string {
	t.Helper()
	for _, p := range inOrder(t, root.Properties) {
		if p.name == name {
			return properties(t, p)
		}
	}
	t.Fatalf("the schema has no %s", name)
	return ""
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

// everything is a configuration that offers all features.
var everything = all.Config{
	Mounts: &mounts.Config{}, Proxy: &taskclusterproxy.Config{}, Resources: &resourcemonitor.Config{}, OSGroups: true,
	LoopbackVideo: &loopback.Config{}, LoopbackAudio: &loopback.Config{},
}

// offered tells whether this build has a feature.
func offered(name string) bool {
	log := slog.New(slog.DiscardHandler)
	for _, f := range all.List(everything, livelog.New(livelog.Config{}, log), interactive.New(interactive.Config{}, log)) {
		if f.Name() == name {
			return true
		}
	}
	return false
}
