package document

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Limits of every document. Documents beyond them are refused.
const (
	MaxBytes  = 10 << 20 // length of the text
	MaxDepth  = 100      // nesting of objects and lists
	MaxValues = 50_000   // objects, lists and scalars, with aliases expanded
)

// Document is one document that was read without a problem.
type Document struct {
	name string
	base string // pointer to the root in the document that it is a part of
	root *node
}

// node is one value and the place where it starts. What it holds is nil, a bool,
// a json.Number, a string, a []*node or an object.
type node struct {
	line, column int
	holds        any
}

// object keeps its members in the order of the text.
type object struct {
	members []member
	index   map[string]int // of each key in members
}

// member is a key and a value, the place of which is that of the key.
type member struct {
	key   string
	value *node
}

// At returns the part of the document at a JSON pointer as a document, the
// problems of which have the positions and pointers of the whole one. It returns
// false if there is no such value.
func (d *Document) At(pointer string) (*Document, bool) {
	n, ok := d.find(pointer)
	if !ok {
		return nil, false
	}
	return &Document{name: d.name, base: d.base + pointer, root: n}, true
}

// Value returns the document as nil, bool, json.Number, string, []any and
// map[string]any. Numbers that are integers are written without fraction and
// exponent, whatever the text says: 1e3 is 1000. The caller owns the result.
func (d *Document) Value() any { return d.root.plain() }

func (n *node) plain() any {
	switch v := n.holds.(type) {
	case object:
		m := make(map[string]any, len(v.members))
		for _, member := range v.members {
			m[member.key] = member.value.plain()
		}
		return m
	case []*node:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = item.plain()
		}
		return list
	default:
		return v
	}
}

// JSON returns the document as compact JSON with the keys in their order.
func (d *Document) JSON() json.RawMessage {
	var b bytes.Buffer
	d.root.write(&b)
	return b.Bytes()
}

func (n *node) write(b *bytes.Buffer) {
	switch v := n.holds.(type) {
	case object:
		separator := byte('{')
		for _, m := range v.members {
			b.WriteByte(separator)
			b.WriteString(compact(m.key))
			b.WriteByte(':')
			m.value.write(b)
			separator = ','
		}
		if len(v.members) == 0 {
			b.WriteByte('{')
		}
		b.WriteByte('}')
	case []*node:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			item.write(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(compact(v))
	}
}

// Decode stores the document in v as encoding/json does. encoding/json takes
// keys in any case; so decode into structs only what a closed schema (one with
// additionalProperties: false) has accepted, and into maps what is open.
func (d *Document) Decode(v any) error {
	if err := json.Unmarshal(d.JSON(), v); err != nil {
		return fmt.Errorf("cannot decode %s: %w", cmp.Or(d.name, "document"), err)
	}
	return nil
}

// Problem returns a problem with the value at a JSON pointer. If there is no
// such value, its position is that of the innermost value that does exist.
func (d *Document) Problem(pointer, what, remedy string) Problem {
	at, _ := d.find(pointer)
	return Problem{
		Name: d.name, Pointer: d.base + pointer,
		Line: at.line, Column: at.column,
		What: what, Remedy: remedy,
	}
}

// find returns the value at a pointer, or the innermost one on the way to it
// that does exist, and false.
func (d *Document) find(pointer string) (*node, bool) {
	n := d.root
	for _, token := range tokens(pointer) {
		switch v := n.holds.(type) {
		case object:
			i, ok := v.index[token]
			if !ok {
				return n, false
			}
			n = v.members[i].value
		case []*node:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return n, false
			}
			n = v[i]
		default:
			return n, false
		}
	}
	return n, true
}

// Pointer joins keys and indexes to a JSON pointer.
func Pointer(tokens ...string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		token = strings.ReplaceAll(token, "~", "~0")
		b.WriteString(strings.ReplaceAll(token, "/", "~1"))
	}
	return b.String()
}

func tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	list := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, token := range list {
		token = strings.ReplaceAll(token, "~1", "/")
		list[i] = strings.ReplaceAll(token, "~0", "~")
	}
	return list
}
