package config

import (
	"sync"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/schemas"
)

// configSchema knows every setting, and so what else could have been meant.
var configSchema = sync.OnceValues(func() (*document.Schema, error) {
	return document.Compile("config.json", schemas.Config)
})

// refusals returns what the schema does not allow in a document. What it knows
// of other settings is compiled only to explain a problem, because that takes
// longer than all else that is done with a configuration.
func refusals(doc *document.Document) document.Problems {
	schema, err := document.CompileFor(doc, "config.json", schemas.Config)
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
