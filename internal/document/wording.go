package document

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// show describes a value, in part; without the value itself if it is secret.
func (e *explainer) show(path []string) string {
	value := e.instance(path)
	hidden := e.hidden(path)
	switch v := value.(type) {
	case json.Number:
		if hidden {
			return "a number"
		}
		return "the number " + printable(v.String(), maxQuoted)
	case string:
		if hidden {
			return "this string"
		}
		return "the string " + Quote(v)
	case bool:
		if hidden {
			return "true or false"
		}
		return fmt.Sprint(v)
	default:
		return typeName(typeOf(value))
	}
}

func not(shown string) string { return ", not " + shown }

// typeOf returns a type as JSON schemas name it.
func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}

func typeName(name string) string {
	switch name {
	case "string":
		return "a string"
	case "integer":
		return "an integer"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return name
}

func typeNames(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = typeName(name)
	}
	return strings.Join(list, " or ")
}

func formatName(format string) string {
	switch format {
	case "date-time":
		return "a date and time with a time zone"
	case "uri":
		return "a URL"
	case "ipv4":
		return "an IPv4 address"
	case "ipv6":
		return "an IPv6 address"
	}
	return "a valid " + format
}

// literals lists what a schema allows as JSON.
func literals(values []any) string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = compact(value)
	}
	return strings.Join(list, ", ")
}

func compact(value any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// example suggests the schema's example for the value an error is about.
func (e *explainer) example(err *jsonschema.ValidationError) string {
	if example := exampleOf(e.part(err)); example != "" {
		return "write for example " + example
	}
	return ""
}

// exampleOf returns the first example of a schema as JSON, or its default, or the
// first value that it allows.
func exampleOf(part *jsonschema.Schema) string {
	const longest = 100 // an example is part of one line
	text := ""
	switch {
	case len(part.Examples) > 0:
		text = compact(part.Examples[0])
	case part.Default != nil:
		text = compact(*part.Default)
	case part.Enum != nil:
		text = compact(part.Enum.Values[0])
	}
	if len(text) > longest {
		return ""
	}
	return text
}
