// Package definition reads task definitions, and other JSON that came from
// outside, without the freedoms that encoding/json takes: names are compared
// exactly and appear once, numbers stay as written, and nothing follows the
// value. Of tasks it knows where things are; what they mean is for others.
package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxDepth = 200

// Object is a JSON object. Values are nil, bool, json.Number, string, []any and
// Object.
type Object map[string]any

// Parse reads an object.
func Parse(data []byte) (Object, error) {
	value, err := ParseValue(data)
	if err != nil {
		return nil, err
	}
	o, ok := value.(Object)
	if !ok {
		return nil, errors.New("cannot read JSON: it is no object")
	}
	return o, nil
}

// ParseValue reads any JSON value.
func ParseValue(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("cannot read JSON: it is not valid UTF-8")
	}
	if halved(data) {
		return nil, errors.New("cannot read JSON: it has half of a character, which readers replace or drop")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	value, err := parse(d, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("cannot read JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("cannot read JSON: there is more after its value")
	}
	return value, nil
}

// halved tells whether there is a surrogate without its other half. Texts that
// differ only in such halves would be equal once they are read.
func halved(data []byte) bool {
	high := false // a first half ends here
	for i := bytes.IndexByte(data, '\\'); i >= 0 && i < len(data); i++ {
		switch {
		case data[i] != '\\':
			if high {
				return true
			}
		case i+5 < len(data) && data[i+1] == 'u':
			unit, _ := strconv.ParseUint(string(data[i+2:i+6]), 16, 16) // no digits: no JSON, and refused for that
			if low := unit >= 0xdc00 && unit <= 0xdfff; low != high {
				return true
			}
			high = unit >= 0xd800 && unit <= 0xdbff
			i += 5
		default:
			if high {
				return true
			}
			i++ // what is escaped, which may be a backslash
		}
	}
	return high
}

func parse(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	delim, nested := token.(json.Delim)
	switch {
	case !nested:
		return token, nil
	case depth == 0:
		return nil, fmt.Errorf("it is nested more than %d levels deep", maxDepth)
	case delim == '{':
		return parseObject(d, depth-1)
	default:
		return parseList(d, depth-1)
	}
}

func parseObject(d *json.Decoder, depth int) (Object, error) {
	o := Object{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("a member's name is %v, no string", token)
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("it has the member %q twice", name)
		}
		if strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("the name %q has a NUL", name)
		}
		if o[name], err = parse(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return o, unexpected(err)
}

func parseList(d *json.Decoder, depth int) ([]any, error) {
	list := []any{}
	for d.More() {
		value, err := parse(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := d.Token()
	return list, unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Value returns what is below the object at a path of names.
func (o Object) Value(path ...string) (any, bool) {
	var value any = o
	for _, name := range path {
		inner, ok := value.(Object)
		if !ok {
			return nil, false
		}
		if value, ok = inner[name]; !ok {
			return nil, false
		}
	}
	return value, true
}

// Has tells whether there is anything at a path, be it null.
func (o Object) Has(path ...string) bool {
	_, ok := o.Value(path...)
	return ok
}

// Text returns the string at a path, "" if there is none.
func (o Object) Text(path ...string) string {
	value, _ := o.Value(path...)
	text, _ := value.(string)
	return text
}

// Object returns the object at a path, nil if there is none.
func (o Object) Object(path ...string) Object {
	value, _ := o.Value(path...)
	inner, _ := value.(Object)
	return inner
}

// List returns the list at a path, nil if there is none.
func (o Object) List(path ...string) []any {
	value, _ := o.Value(path...)
	list, _ := value.([]any)
	return list
}

// Texts returns the strings of the list at a path. It is not ok if there is
// something else at the path, or in the list; an absent list has no strings.
func (o Object) Texts(path ...string) (texts []string, ok bool) {
	value, there := o.Value(path...)
	if !there {
		return nil, true
	}
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	for _, entry := range list {
		text, ok := entry.(string)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// Truthy tells whether a value is neither null, false, zero nor empty.
func Truthy(value any) bool {
	switch value := value.(type) {
	case nil:
		return false
	case bool:
		return value
	case json.Number:
		digits, _ := canonical(value)
		return digits != ""
	case string:
		return value != ""
	case []any:
		return len(value) > 0
	case Object:
		return len(value) > 0
	}
	return true
}

// Diff returns the path, as in /payload/env/LEVEL, of the first place in which
// two values differ, and whether they do. Numbers are compared by value.
func Diff(a, b any) (path string, differ bool) {
	switch a := a.(type) {
	case Object:
		if b, ok := b.(Object); ok {
			return diffObjects(a, b)
		}
		return "", true
	case []any:
		if b, ok := b.([]any); ok {
			return diffLists(a, b)
		}
		return "", true
	case json.Number:
		b, ok := b.(json.Number)
		return "", !ok || !equalNumbers(a, b)
	}
	switch b.(type) {
	case Object, []any:
		return "", true
	}
	return "", a != b
}

func diffObjects(a, b Object) (string, bool) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		left, inA := a[name]
		right, inB := b[name]
		if inA != inB {
			return "/" + name, true
		}
		if path, differ := Diff(left, right); differ {
			return "/" + name + path, true
		}
	}
	return "", false
}

func diffLists(a, b []any) (string, bool) {
	for i := range min(len(a), len(b)) {
		if path, differ := Diff(a[i], b[i]); differ {
			return fmt.Sprintf("/%d%s", i, path), true
		}
	}
	return "", len(a) != len(b)
}

// Equal tells whether two values are the same.
func Equal(a, b any) bool {
	_, differ := Diff(a, b)
	return !differ
}
