package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/schemas"
)

// configSchema knows every setting, and so what else could have been meant.
var configSchema = sync.OnceValues(func() (*document.Schema, error) {
	return document.Compile("config.json", schemas.Config)
})

// refusals returns what the schema does not allow in a document. What it knows
// of settings that the document does not have is compiled only to explain a
// problem, because that takes longer than all else that is done with a
// configuration.
func refusals(doc *document.Document) document.Problems {
	settings, _ := doc.Value().(map[string]any)
	schema, err := schemaOf(settings)
	if err == nil && doc.Check(schema) == nil {
		return nil
	}
	if err == nil {
		schema, err = configSchema()
	}
	if err != nil {
		panic("config: internal error: " + err.Error())
	}
	return doc.Check(schema)
}

// schemaOf compiles the schema of some settings. All others are unknown to it.
func schemaOf(some map[string]any) (*document.Schema, error) {
	var root, properties map[string]json.RawMessage
	err := json.Unmarshal(schemas.Config, &root)
	if err == nil {
		err = json.Unmarshal(root["properties"], &properties)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the schema of the configuration: %w", err)
	}
	maps.DeleteFunc(properties, func(name string, _ json.RawMessage) bool {
		_, there := some[name]
		return !there
	})
	if root["properties"], err = json.Marshal(properties); err != nil {
		return nil, fmt.Errorf("cannot take the schema of the configuration apart: %w", err)
	}
	text, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("cannot take the schema of the configuration apart: %w", err)
	}
	return document.Compile("config.json", text)
}
