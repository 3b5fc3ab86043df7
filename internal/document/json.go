package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseJSON reads one JSON document. The name may be empty; it stands in front
// of every problem. The error is Problems. Refused are, beside broken syntax:
// text that is not UTF-8, a byte order mark, duplicate keys, the character NUL,
// half surrogate pairs, and what is beyond the limits.
func ParseJSON(name string, data []byte) (*Document, error) {
	t := &tree{name: name}
	if !t.text(data) {
		return nil, t.problems
	}
	if bytes.HasPrefix(data, []byte(byteOrderMark)) {
		t.refuse(1, 1, "starts with a byte order mark", "save it as UTF-8 without one")
		return nil, t.problems
	}
	if len(bytes.TrimSpace(data)) == 0 {
		t.refuse(1, 1, "is empty", "")
		return nil, t.problems
	}
	r := jsonReader{tree: t, data: data, line: 1, column: 1}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, new(json.RawMessage)); errors.As(err, &syntax) {
		r.advance(max(0, int(syntax.Offset)-1))
		t.refuse(r.line, r.column, "is not JSON: "+syntax.Error(), "")
		return nil, t.problems
	}
	return t.finish(r.value())
}

const byteOrderMark = "\uFEFF"

// tree collects what both readers have in common: limits and problems.
type tree struct {
	name     string
	path     []string // keys and indexes that lead to the value being read
	values   int
	problems Problems
	stopped  bool // a limit was passed: what follows is not read
}

func (t *tree) finish(root *node) (*Document, error) {
	if len(t.problems) > 0 {
		return nil, t.problems.Sort()
	}
	return &Document{name: t.name, root: root}, nil
}

func (t *tree) refuse(line, column int, what, remedy string) {
	t.problems = append(t.problems, Problem{
		Name: t.name, Pointer: Pointer(t.path...), Line: line, Column: column, What: what, Remedy: remedy,
	})
}

// text checks what can be told without reading the syntax.
func (t *tree) text(data []byte) bool {
	if len(data) > MaxBytes {
		t.refuse(0, 0, fmt.Sprintf("is longer than %d MiB", MaxBytes>>20), "move large data into a file that the task downloads")
		return false
	}
	if i := invalidUTF8(data); i >= 0 {
		line := 1 + bytes.Count(data[:i], []byte("\n"))
		column := 1 + utf8.RuneCount(data[bytes.LastIndexByte(data[:i], '\n')+1:i])
		t.refuse(line, column, fmt.Sprintf("is not UTF-8: it has the byte 0x%02x here", data[i]), "save it as UTF-8")
		return false
	}
	return true
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// count tells whether one more value is within the limits.
func (t *tree) count(line, column int) bool {
	t.values++
	switch {
	case t.stopped:
		return false
	case len(t.path) > MaxDepth:
		t.path = t.path[:3] // enough to find it by
		t.refuse(line, column, fmt.Sprintf("is nested more than %d deep", MaxDepth), "")
	case t.values > MaxValues:
		t.refuse(line, column, fmt.Sprintf("is one value too many: a document holds at most %d", MaxValues), "")
	default:
		return true
	}
	t.stopped = true
	return false
}

func (t *tree) enter(token string) { t.path = append(t.path, token) }

func (t *tree) leave() {
	if !t.stopped {
		t.path = t.path[:len(t.path)-1]
	}
}

// add adds a member to an object unless its key is taken.
func (t *tree) add(o *object, m member) {
	if _, taken := o.index[m.key]; taken {
		t.refuse(m.value.line, m.value.column, "is there twice", "remove one of the two")
		return
	}
	o.index[m.key] = len(o.members)
	o.members = append(o.members, m)
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// jsonReader walks over data that is known to be valid JSON.
type jsonReader struct {
	*tree
	data []byte

	offset, line, column int // of the next token, or before it
}

// advance moves to a later place.
func (r *jsonReader) advance(to int) {
	passed := r.data[r.offset:to]
	if n := bytes.Count(passed, []byte("\n")); n > 0 {
		r.line += n
		r.column = 1
		passed = passed[bytes.LastIndexByte(passed, '\n')+1:]
	}
	r.column += utf8.RuneCount(passed)
	r.offset = to
}

// skip moves to the start of the next token, which it returns the first byte of.
// Commas and colons are where they belong, so they need no attention.
func (r *jsonReader) skip() byte {
	to := r.offset
	for strings.IndexByte(" \t\r\n,:", r.data[to]) >= 0 {
		to++
	}
	r.advance(to)
	return r.data[to]
}

// token returns the text of the scalar at the present place.
func (r *jsonReader) token() []byte {
	rest := r.data[r.offset:]
	if rest[0] != '"' {
		if end := bytes.IndexAny(rest, " \t\r\n,:]}"); end >= 0 {
			return rest[:end]
		}
		return rest
	}
	for i := 1; ; i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			return rest[:i+1]
		}
	}
}

func (r *jsonReader) value() *node {
	first := r.skip()
	n := &node{line: r.line, column: r.column}
	if !r.count(n.line, n.column) {
		return n
	}
	switch first {
	case '{':
		n.holds = r.object()
	case '[':
		n.holds = r.list()
	case '"':
		n.holds = r.text("has ")
	default:
		n.holds = r.literal()
	}
	return n
}

func (r *jsonReader) literal() any {
	text := r.token()
	line, column := r.line, r.column
	r.advance(r.offset + len(text))
	switch text[0] {
	case 'n':
		return nil
	case 't', 'f':
		return text[0] == 't'
	}
	exact, ok := number(string(text))
	if !ok {
		r.refuse(line, column, "is a number with too many digits", "put it in quotes if it is text")
	}
	return exact
}

// text reads a string and refuses one that another reader would see differently,
// in words that begin with has.
func (r *jsonReader) text(has string) string {
	text := r.token()
	line, column := r.line, r.column
	r.advance(r.offset + len(text))
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	var value string
	if err := json.Unmarshal(text, &value); err != nil {
		r.refuse(line, column, has+"a bad string: "+err.Error(), "")
	}
	if !validSurrogates(text) {
		r.refuse(line, column, has+"half of a surrogate pair in it", "write the character itself")
	}
	if hasNUL(value) {
		r.refuse(line, column, has+"the character NUL in it", "remove the character")
	}
	return value
}

func (r *jsonReader) object() object {
	o := object{index: make(map[string]int)}
	r.offset, r.column = r.offset+1, r.column+1
	for !r.stopped && r.skip() != '}' {
		line, column := r.line, r.column
		m := member{key: r.text("has a key with ")}
		r.enter(m.key)
		m.value = r.value()
		m.value.line, m.value.column = line, column
		r.add(&o, m)
		r.leave()
	}
	r.closed()
	return o
}

func (r *jsonReader) list() []*node {
	list := []*node{}
	r.offset, r.column = r.offset+1, r.column+1
	for !r.stopped && r.skip() != ']' {
		r.enter(strconv.Itoa(len(list)))
		list = append(list, r.value())
		r.leave()
	}
	r.closed()
	return list
}

func (r *jsonReader) closed() {
	if !r.stopped {
		r.offset, r.column = r.offset+1, r.column+1
	}
}

// validSurrogates tells whether every \uD800 to \uDFFF in the text of a JSON
// string is one half of a pair.
func validSurrogates(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if text[i+1] != 'u' {
			i++
			continue
		}
		unit := escape(text, i)
		switch {
		case unit < 0xD800 || unit > 0xDFFF:
			i += 5
		case unit < 0xDC00 && escape(text, i+6) >= 0xDC00 && escape(text, i+6) <= 0xDFFF:
			i += 11
		default:
			return false
		}
	}
	return true
}

// escape returns the code unit of the \uXXXX at i, or -1.
func escape(text []byte, i int) int {
	if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 32)
	if err != nil {
		return -1
	}
	return int(unit)
}
