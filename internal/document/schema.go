package document

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is a JSON schema that is ready for use, by any number of goroutines.
//
// Besides the keywords that decide, a schema helps with the text of problems:
// $comment next to a pattern says in words what the pattern asks for, the first
// of the examples is shown as what to write, the title of each branch of a oneOf
// names that branch, and writeOnly keeps values from being quoted. propertyNames
// is of no use: the validator does not tell reliably which object is meant.
type Schema struct {
	compiled *jsonschema.Schema
	at       map[string]*jsonschema.Schema // every part, by its location
	secret   map[string]bool               // names of properties that are writeOnly
}

// Compile reads a JSON schema (2020-12 unless it names another draft). It must
// be complete in itself: nothing is loaded from elsewhere.
func Compile(name string, text []byte) (*Schema, error) { return CompileFor(nil, name, text) }

// CompileFor is Compile for documents without other keys at their top than d
// has: every other property is unknown to the schema. That takes less time the
// fewer they are.
func CompileFor(d *Document, name string, text []byte) (*Schema, error) {
	content, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("cannot read schema %s: %w", name, err)
	}
	if d != nil {
		root, _ := content.(map[string]any)
		properties, _ := root["properties"].(map[string]any)
		top, _ := d.root.holds.(object)
		maps.DeleteFunc(properties, func(key string, _ any) bool {
			_, there := top.index[key]
			return !there
		})
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(offline{})
	compiler.AssertFormat()
	location := "schema:///" + name
	if err := compiler.AddResource(location, content); err != nil {
		return nil, fmt.Errorf("cannot add schema %s: %w", name, err)
	}
	compiled, err := compiler.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("cannot compile schema %s: %w", name, err)
	}
	s := &Schema{compiled: compiled, at: make(map[string]*jsonschema.Schema), secret: make(map[string]bool)}
	s.index(compiled)
	return s, nil
}

type offline struct{}

func (offline) Load(url string) (any, error) {
	return nil, fmt.Errorf("cannot load %s: a schema must be complete in itself", url)
}

// index notes every part of the schema that problems may refer to.
func (s *Schema) index(part *jsonschema.Schema) {
	if part == nil || s.at[part.Location] != nil {
		return
	}
	s.at[part.Location] = part
	for name, property := range part.Properties {
		if property.WriteOnly || property.Ref != nil && property.Ref.WriteOnly {
			s.secret[name] = true
		}
		s.index(property)
	}
	for _, property := range part.PatternProperties {
		s.index(property)
	}
	for _, rest := range []any{part.AdditionalProperties, part.Items} {
		if other, ok := rest.(*jsonschema.Schema); ok {
			s.index(other)
		}
	}
	for _, other := range []*jsonschema.Schema{
		part.Ref, part.Items2020, part.If, part.Then, part.Else, part.Not, part.Contains,
	} {
		s.index(other)
	}
	for _, list := range [][]*jsonschema.Schema{part.AllOf, part.AnyOf, part.OneOf, part.PrefixItems} {
		for _, other := range list {
			s.index(other)
		}
	}
}

// Check returns everything in the document that the schema does not allow, in
// order of position, or nil.
func (d *Document) Check(schema *Schema) Problems {
	value := d.Value()
	err := schema.compiled.Validate(value)
	if err == nil {
		return nil
	}
	e := explainer{document: d, schema: schema, value: value}
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		e.explain(invalid)
	}
	if len(e.problems) == 0 {
		e.problems = Problems{d.Problem("", "does not match the schema", "")}
	}
	return e.problems.Sort()
}
