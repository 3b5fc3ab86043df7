//go:build unix

package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/payload"
)

// ability is one thing that a task may ask for: a row of the tables.
type ability struct {
	name    string // as stories name it
	feature string // that a worker needs for it; empty if every worker has it
	meaning string
	in      string // the payload without a command, with %s for the example
	example json.RawMessage
	usual   string // default
}

// text is the example as it stands in a payload.
func (a ability) text() string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, a.example); err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(a.in, "%s", compact.String())
}

// whole is a payload that asks for it.
func (a ability) whole() string {
	switch a.name {
	case "docker-worker":
		return a.text()
	case "command":
		return `{"maxRunTime":60,` + a.text() + `}`
	case "maxRunTime":
		return `{"command":[["true"]],` + a.text() + `}`
	}
	return `{"command":[["true"]],"maxRunTime":60,` + a.text() + `}`
}

// read returns the schema of a file.
func read(t *testing.T, name string) part {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var root part
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// abilities are all rows, in the order of the schema; the features among them are
// those of the property features.
func abilities(t *testing.T) (features, others []ability) {
	t.Helper()
	root := read(t, "payload-posix.json")
	for _, p := range inOrder(t, root.Properties) {
		quoted := fmt.Sprintf("%q:", p.name)
		switch p.name {
		case "features":
			for _, f := range inOrder(t, p.Properties) {
				features = append(features, f.ability(t, f.name, f.name, fmt.Sprintf(`"features":{%q:%%s}`, f.name)))
			}
		case "onExitStatus":
			for _, inner := range inOrder(t, p.Properties) {
				others = append(others, inner.ability(t, p.name+"."+inner.name, needed(inner.name), fmt.Sprintf(`%s{%q:%%s}`, quoted, inner.name)))
			}
		case "artifacts":
			others = append(others, artifactAbilities(t, root.Defs["artifact"])...)
		case "mounts":
			others = append(others, mountAbilities(t, root)...)
		default:
			others = append(others, p.ability(t, p.name, needed(p.name), quoted+"%s"))
		}
	}
	docker := read(t, "payload-docker.json")
	return features, append(others, docker.ability(t, "docker-worker", "", "%s"))
}

// needed is the feature that does what a property asks for, "" for none.
func needed(property string) string {
	switch property {
	case "encryptedEnv", "osGroups":
		return property
	case "taskclusterProxyInterface":
		return "taskclusterProxy"
	case "purgeCaches":
		return "mounts"
	}
	return ""
}

func (p part) ability(t *testing.T, name, feature, in string) ability {
	t.Helper()
	if len(p.Examples) == 0 {
		t.Fatalf("the schema has no example of %s", name)
	}
	return ability{name: name, feature: feature, meaning: p.Description, in: in, example: p.Examples[0], usual: p.usual()}
}

func artifactAbilities(t *testing.T, artifact part) (rows []ability) {
	t.Helper()
	for _, example := range artifact.Examples {
		var fields map[string]any
		if err := json.Unmarshal(example, &fields); err != nil {
			t.Fatal(err)
		}
		kind := fmt.Sprint(fields["type"])
		rows = append(rows, ability{
			name: "artifacts." + kind, feature: "artifacts", in: `"artifacts":[%s]`, example: example,
			meaning: map[string]string{
				"file": "A file to keep when the task is done.", "directory": "All files below a directory.", "glob": "All files that match a pattern.",
			}[kind],
		})
	}
	return rows
}

// mountAbilities are the kinds of mounts, and where their content comes from.
func mountAbilities(t *testing.T, root part) (rows []ability) {
	t.Helper()
	for _, kind := range root.Defs["mount"].OneOf {
		name := strings.TrimPrefix(kind.Ref, "#/$defs/")
		rows = append(rows, root.Defs[name].ability(t, "mounts."+name, "mounts", `"mounts":[%s]`))
	}
	for _, content := range root.Defs["content"].OneOf {
		name, file := content.Required[0], "tools.tar.gz"
		switch name {
		case "taskId":
			name = "artifact"
		case "namespace":
			name = "indexed"
		case "raw", "base64":
			file = "tool.ini"
		}
		rows = append(rows, content.ability(t, "content."+name, "mounts", fmt.Sprintf(`"mounts":[{"file":%q,"content":%%s}]`, file)))
	}
	return rows
}

// standing is what becomes of a task that asks for it.
func (a ability) standing(t *testing.T) string {
	t.Helper()
	p, err := payload.Parse([]byte(a.whole()))
	switch {
	case err != nil && !strings.HasPrefix(a.name, "loopback"): // which only Linux has
		t.Fatalf("the example of %s: %v", a.name, err)
	case a.feature == "" || offered(a.feature):
		return "offered"
	case slices.Contains(p.Requests(), a.feature):
		return "not offered: `malformed-payload`"
	}
	return "no effect"
}

// table shows abilities. Only features have defaults: without the others there is
// nothing to be done.
func table(t *testing.T, title string, rows []ability, stories map[string][]string) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "\n| %s | Default | This version | Example | Shown by | Meaning |\n|---|---|---|---|---|---|\n", title)
	for _, a := range rows {
		by, usual := "–", "–"
		if names := stories[a.name]; len(names) > 0 {
			by = "`" + strings.Join(names, "`, `") + "`"
		}
		if a.usual != "" {
			usual = a.usual
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | `%s` | %s | %s |\n",
			a.name, usual, a.standing(t), strings.ReplaceAll(a.text(), "|", `\|`), by, inCell(a.meaning))
	}
	return out.String()
}

// shown reads in the stories about the whole program which rows they show.
func shown(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no stories: %v", err)
	}
	stories := make(map[string][]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		story := strings.TrimSuffix(filepath.Base(file), ".txtar")
		for line := range strings.Lines(string(text)) {
			names, ok := strings.CutPrefix(line, "# shows: ")
			if !ok {
				continue
			}
			for _, name := range strings.Fields(names) {
				if !slices.Contains(stories[name], story) {
					stories[name] = append(stories[name], story)
				}
			}
		}
	}
	return stories
}

// TestShown sees to it that there is a story about the whole program for
// everything that this build offers to tasks, and that stories name what there is.
func TestShown(t *testing.T) {
	t.Parallel()
	stories := shown(t)
	features, others := abilities(t)
	known := []string{"hideCmdWindow", "runAsAdministrator", "rdpInfo"} // of Windows
	for _, a := range append(features, others...) {
		known = append(known, a.name)
		if len(stories[a.name]) == 0 && a.standing(t) == "offered" {
			t.Errorf("no story shows %s; write \"# shows: %s\" into one that does", a.name, a.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stories)) {
		if !slices.Contains(known, name) {
			t.Errorf("%s shows %s, which is none of %s", stories[name], name, strings.Join(known, " "))
		}
	}
}
