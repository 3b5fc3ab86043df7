package config

import (
	"fmt"
	"testing"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/schemas"
)

// TestSchemaOfOneSetting compares, for every setting, its own schema with that
// of all settings.
func TestSchemaOfOneSetting(t *testing.T) {
	t.Parallel()
	root, err := readKeys()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := configSchema()
	if err != nil {
		t.Fatal(err)
	}
	allowed := 0
	for name := range root.Properties {
		alone := func(value string) *document.Document {
			doc, err := document.ParseJSON("", fmt.Appendf(nil, `{%q: %s}`, name, value))
			if err != nil {
				t.Fatal(err)
			}
			return doc
		}
		one, err := document.CompileFor(alone("null"), "config.json", schemas.Config)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, value := range []string{`null`, `true`, `-1`, `7`, `0.5`, `""`, `"x"`, `[]`, `{}`, `{"x": 1}`} {
			got, want := alone(value).Check(one) == nil, alone(value).Check(whole) == nil
			if got != want {
				t.Errorf("%s: %s is allowed: %t with one setting, %t with all", name, value, got, want)
			}
			if got {
				allowed++
			}
		}
	}
	if most := 10 * len(root.Properties); allowed == 0 || allowed == most {
		t.Errorf("%d of %d are allowed", allowed, most)
	}
}
