package schemas_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/schemas"
)

var update = flag.Bool("update", false, "write the texts in testdata")

// files are the schemas of all platforms.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"config.json": schemas.Config, "task.json": schemas.Task, "chain-policy.json": schemas.ChainPolicy}
	for _, name := range []string{"payload-posix.json", "payload-windows.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = text
	}
	return all
}

// TestDocumented walks over every part of every schema: documentation is made
// from descriptions, defaults and examples, so they must be there and be right.
func TestDocumented(t *testing.T) {
	t.Parallel()
	for name, text := range files(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var root map[string]any
			if err := json.Unmarshal(text, &root); err != nil {
				t.Fatal(err)
			}
			if _, err := document.Compile(name, text); err != nil {
				t.Fatal(err)
			}
			w := walker{t: t, defs: root["$defs"]}
			w.part("", root, true)
			defs, _ := root["$defs"].(map[string]any)
			for key, part := range defs {
				w.part("/$defs/"+key, part.(map[string]any), true)
			}
		})
	}
}

type walker struct {
	t    *testing.T
	defs any
}

func (w walker) part(at string, part map[string]any, described bool) {
	if _, ref := part["$ref"]; described && !ref && part["description"] == nil {
		w.t.Errorf("%s has no description", at)
	}
	if part["type"] == "object" && part["properties"] != nil && part["additionalProperties"] != false {
		w.t.Errorf("%s takes any key beside its own", at)
	}
	if part["pattern"] != nil && part["$comment"] == nil {
		w.t.Errorf("%s has a pattern without a $comment that says it in words", at)
	}
	examples, _ := part["examples"].([]any)
	if value, given := part["default"]; given {
		examples = append(slices.Clone(examples), value)
	}
	for _, example := range examples {
		w.valid(at, part, example)
	}
	properties, _ := part["properties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		w.part(at+"/"+key, properties[key].(map[string]any), true)
	}
	if items, ok := part["items"].(map[string]any); ok {
		w.part(at+"/items", items, false)
	}
	branches, _ := part["oneOf"].([]any)
	for i, branch := range branches {
		branch := branch.(map[string]any)
		w.part(fmt.Sprintf("%s/oneOf/%d", at, i), branch, true)
		if branch["$ref"] == nil && branch["title"] == nil {
			w.t.Errorf("%s/oneOf/%d has no title", at, i)
		}
	}
}

// valid checks an example against the part of the schema that shows it.
func (w walker) valid(at string, part map[string]any, example any) {
	part = maps.Clone(part)
	delete(part, "$schema")
	if part["$defs"] == nil && w.defs != nil {
		part["$defs"] = w.defs
	}
	text, err := json.Marshal(part)
	if err != nil {
		w.t.Fatal(err)
	}
	schema, err := document.Compile("part.json", text)
	if err != nil {
		w.t.Fatalf("%s: %v", at, err)
	}
	value, err := json.Marshal(example)
	if err != nil {
		w.t.Fatal(err)
	}
	doc, err := document.ParseJSON("", value)
	if err != nil {
		w.t.Fatalf("%s: %v", at, err)
	}
	if problems := doc.Check(schema); problems != nil {
		w.t.Errorf("%s: the example %s: %v", at, value, problems)
	}
}

// TestFiles checks documents that people write. Each is followed by what is said
// about it, which is nothing if it is right.
func TestFiles(t *testing.T) {
	t.Parallel()
	for kind, text := range map[string][]byte{"config": schemas.Config, "task": schemas.Task} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			schema, err := document.Compile(kind, text)
			if err != nil {
				t.Fatal(err)
			}
			golden := "testdata/" + kind + ".txtar"
			archive, err := txtar.ParseFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+1 < len(archive.Files); i += 2 {
				in, want := archive.Files[i], &archive.Files[i+1]
				got := answer(in, schema)
				if *update {
					want.Data = []byte(got)
				}
				if diff := cmp.Diff(string(want.Data), got); diff != "" {
					t.Errorf("%s:\n%s", in.Name, diff)
				}
				if right := strings.HasPrefix(in.Name, "right"); right != (got == "") {
					t.Errorf("%s: got %q", in.Name, got)
				}
			}
			if *update {
				if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func answer(file txtar.File, schema *document.Schema) string {
	doc, err := document.Parse(file.Name, file.Data)
	if err != nil {
		return err.Error() + "\n"
	}
	if problems := doc.Check(schema); problems != nil {
		return problems.Error() + "\n"
	}
	return ""
}
