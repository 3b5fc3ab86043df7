package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	jsone "github.com/json-e/json-e/v4"
	"go.yaml.in/yaml/v3"
)

// evaluate renders a job. Only what can be counted beforehand or afterwards is
// bounded here: it may take any time and memory.
func evaluate(job Job, limits Limits) (result []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // the library's, which does not expect every input
			result, err = nil, fmt.Errorf("%w: %s", ErrTemplate, shorten(fmt.Sprint(p), maxReason))
		}
	}()
	if err := limits.check(job); err != nil {
		return nil, err
	}
	tree, err := readYAML(job.Template, limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if len(job.Let) > 0 {
		var let any
		if err := json.Unmarshal(job.Let, &let); err != nil {
			return nil, fmt.Errorf("cannot read the definitions around the template: %w", err)
		}
		tree = map[string]any{"$let": let, "in": tree}
	}
	values, err := contextOf(job, limits)
	if err != nil {
		return nil, err
	}
	rendered, err := jsone.Render(tree, values)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrTemplate, reason(err))
	}
	if err := (&counter{limits: limits}).count(rendered, 0); err != nil {
		return nil, fmt.Errorf("%w: its result %w", ErrTemplate, err)
	}
	return encode(rendered, limits.Output)
}

// contextOf returns the values of a job in the shape JSON-e wants.
func contextOf(job Job, limits Limits) (map[string]any, error) {
	values := make(map[string]any, len(job.Context)+len(job.Texts)+1)
	for name, raw := range job.Context {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("cannot read value %s: %w", name, err)
		}
		values[name] = v
	}
	for name, text := range job.Texts {
		v, err := readYAML(text, limits)
		if err != nil {
			return nil, fmt.Errorf("%w: cannot read its value %s: %w", ErrTemplate, name, err)
		}
		values[name] = v
	}
	if job.TaskID != "" {
		values["as_slugid"] = jsone.WrapFunction(func(name string) string {
			if name == "decision" {
				return job.DecisionID
			}
			return job.TaskID
		})
	}
	return values, nil
}

// readYAML returns a text's one document as JSON-e wants it: with float64 as
// its only kind of number and strings as keys.
func readYAML(text []byte, limits Limits) (any, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var tree any
	if err := decoder.Decode(&tree); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, errors.New(shorten(err.Error(), maxReason))
	}
	var second any
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has a second document; leave only the first")
	}
	return (&counter{limits: limits}).plain(tree, 0)
}

// counter counts values against limits.
type counter struct {
	limits Limits
	nodes  int
	bytes  int // of texts and names
}

func (c *counter) one(depth int) error {
	c.nodes++
	switch {
	case c.nodes > c.limits.Nodes:
		return fmt.Errorf("has more than %d values", c.limits.Nodes)
	case depth > c.limits.Depth:
		return fmt.Errorf("is nested deeper than %d levels", c.limits.Depth)
	}
	return nil
}

// plain returns the same value in the types that JSON has.
func (c *counter) plain(v any, depth int) (any, error) {
	if err := c.one(depth); err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	switch v := v.(type) {
	case nil, bool, string, float64:
		return v, nil
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = c.plain(v[i], depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		for key := range v {
			var err error
			if v[key], err = c.plain(v[key], depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[any]any:
		return c.plainKeys(v, depth)
	}
	return nil, fmt.Errorf("it has the value %v, which JSON cannot say; put it into quotes", v)
}

// plainKeys accepts numbers and truth values as keys, by their text in JSON.
func (c *counter) plainKeys(v map[any]any, depth int) (any, error) {
	object := make(map[string]any, len(v))
	for key, value := range v {
		switch key.(type) {
		case string, int, int64, uint64, float64, bool:
		default:
			return nil, fmt.Errorf("it has the key %v, which is no text", key)
		}
		name := fmt.Sprint(key)
		if _, ok := object[name]; ok {
			return nil, fmt.Errorf("it has the key %s twice", name)
		}
		object[name] = value
	}
	return c.plain(object, depth)
}

// count walks through a rendered value. Parts of it may be there many times
// over though memory holds them once, so it has to be walked before it is
// written.
func (c *counter) count(v any, depth int) error {
	if err := c.one(depth); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		return c.text(v)
	case []any:
		for _, item := range v {
			if err := c.count(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			if err := c.text(name); err != nil {
				return err
			}
			if err := c.count(item, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *counter) text(s string) error {
	if c.bytes += len(s); c.bytes > c.limits.Output {
		return fmt.Errorf("has more than %d bytes", c.limits.Output)
	}
	return nil
}

// encode writes a rendered value as JSON of at most so many bytes.
func encode(v any, most int) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil { // infinity has no text in JSON
		return nil, fmt.Errorf("%w: cannot write its result: %w", ErrTemplate, err)
	}
	if text.Len() > most {
		return nil, fmt.Errorf("%w: its result has %d bytes, at most %d are accepted", ErrTemplate, text.Len(), most)
	}
	return text.Bytes(), nil
}

// maxReason bounds what is told of an error in bytes.
const maxReason = 300

// reason returns what JSON-e says is wrong without the template around it,
// which its errors quote whole and at every level.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), " in template {")
	return shorten(text, maxReason)
}

// shorten cuts a text after at most so many bytes.
func shorten(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
