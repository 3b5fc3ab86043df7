package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Parse reads one document that a person wrote: JSON if it is valid JSON or the
// name ends in .json, else YAML. The name stands in front of every problem. The
// error is Problems.
//
// Of YAML it takes what has one meaning for all readers: objects with text as
// keys, lists, text, true and false, null, and numbers as JSON writes them.
// Anchors and aliases work. Refused are tags, merge keys, further documents and
// plain numbers such as 0o17, 017, 1_000 or .inf; in quotes those are text.
// Dates, and words such as yes and off, are text. A byte order mark is skipped.
func Parse(name string, data []byte) (*Document, error) {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	if strings.HasSuffix(strings.ToLower(name), ".json") || len(data) <= MaxBytes && json.Valid(data) {
		return ParseJSON(name, data)
	}
	r := yamlReader{tree: &tree{name: name}}
	if !r.text(data) {
		return nil, r.problems
	}
	top := r.syntax(data)
	if top == nil {
		return nil, r.problems
	}
	return r.finish(r.value(top))
}

type yamlReader struct{ *tree }

// syntax returns the value of the only YAML document in data, or nil.
func (r yamlReader) syntax(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var top, more yaml.Node
	err := decoder.Decode(&top)
	switch {
	case errors.Is(err, io.EOF) || err == nil && (len(top.Content) == 0 || top.IsZero()):
		r.refuse(1, 1, "is empty", "")
		return nil
	case err != nil:
		line, what := yamlError(err)
		r.refuse(line, 1, "is not YAML: "+what, "")
		return nil
	}
	if err := decoder.Decode(&more); err == nil {
		r.refuse(more.Line, 1, "holds more than one YAML document", "remove the second one and the line ---")
		return nil
	} else if !errors.Is(err, io.EOF) {
		line, what := yamlError(err)
		r.refuse(line, 1, "is not YAML: "+what, "")
		return nil
	}
	return top.Content[0]
}

// yamlError splits the text of a syntax error, which has the line only there.
func yamlError(err error) (line int, what string) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if _, err := fmt.Sscanf(text, "line %d:", &line); err != nil || line < 1 {
		return 1, text
	}
	_, what, _ = strings.Cut(text, ": ")
	return line, what
}

func (r yamlReader) value(y *yaml.Node) *node {
	n := &node{line: y.Line, column: y.Column}
	if !r.count(n.line, n.column) {
		return n
	}
	if y.Kind == yaml.AliasNode {
		// A cycle ends at the limit of depth, a bomb at that of values.
		target := *r.value(y.Alias)
		target.line, target.column = n.line, n.column
		return &target
	}
	if y.Style&yaml.TaggedStyle != 0 {
		r.refuse(n.line, n.column, "has the tag "+Quote(y.Tag), "remove the tag; text can be put in quotes")
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.holds = r.object(y)
	case yaml.SequenceNode:
		list := make([]*node, 0, len(y.Content))
		for i, item := range y.Content {
			if r.stopped {
				break
			}
			r.enter(strconv.Itoa(i))
			list = append(list, r.value(item))
			r.leave()
		}
		n.holds = list
	default:
		n.holds = r.scalar(y)
	}
	return n
}

func (r yamlReader) object(y *yaml.Node) object {
	o := object{index: make(map[string]int)}
	for i := 0; i+1 < len(y.Content) && !r.stopped; i += 2 {
		key := y.Content[i]
		name, ok := r.key(key)
		if !ok {
			continue
		}
		r.enter(name)
		m := member{key: name, value: r.value(y.Content[i+1])}
		m.value.line, m.value.column = key.Line, key.Column
		r.add(&o, m)
		r.leave()
	}
	return o
}

// key returns the text of a key, or false if it is none.
func (r yamlReader) key(y *yaml.Node) (string, bool) {
	if y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	what, remedy := "", ""
	switch tag := y.ShortTag(); {
	case y.Kind != yaml.ScalarNode:
		what, remedy = "has a list or an object as a key", "use text as keys"
	case y.Style&yaml.TaggedStyle != 0:
		what, remedy = "has a tag on the key "+Quote(y.Value), "remove the tag"
	case tag == "!!merge":
		what, remedy = "has a merge key <<", "write the keys out"
	case tag != "!!str" && tag != "!!timestamp":
		what, remedy = fmt.Sprintf("has the key %s, which is not text", printable(y.Value, maxQuoted)), "put the key in quotes"
	case hasNUL(y.Value):
		what, remedy = "has a key with the character NUL in it", "remove the character"
	default:
		return y.Value, true
	}
	r.refuse(y.Line, y.Column, what, remedy)
	return "", false
}

// scalar returns what a scalar stands for. Quoted ones have the tag of strings.
func (r yamlReader) scalar(y *yaml.Node) any {
	switch y.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(y.Value, "true")
	case "!!int", "!!float":
		if !isNumber(y.Value) {
			r.refuse(y.Line, y.Column, "is a number to some readers of YAML and text to others",
				"put it in quotes if it is text, or write a plain decimal number")
		}
	}
	if y.Style&^yaml.FlowStyle == 0 && isNumber(y.Value) {
		exact, ok := number(y.Value)
		if !ok {
			r.refuse(y.Line, y.Column, "is a number with too many digits", "put it in quotes if it is text")
		}
		return exact
	}
	if hasNUL(y.Value) {
		r.refuse(y.Line, y.Column, "has the character NUL in it", "remove the character")
	}
	return y.Value
}
