package cot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// What a document may hold, beyond which it is refused.
const (
	MaxBytes  = 16 << 20
	MaxDepth  = 64
	maxValues = 500_000
)

// Canonical writes a JSON document as certificates are written: sorted members,
// two spaces for each level, all but printable ASCII escaped, numbers with the
// digits they came with, no newline at the end. Documents in the same canonical
// form say the same. The error wraps ErrMalformed.
func Canonical(text []byte) ([]byte, error) {
	root, err := read(text)
	if err != nil {
		return nil, err
	}
	return root.appendTo(make([]byte, 0, len(text)+len(text)/4), "\n"), nil
}

// value is one JSON value.
type value struct {
	raw     []byte // as it was read
	members []member
	items   []*value
}

type member struct {
	name   string
	quoted string // in canonical form
	value  *value
}

func (v *value) isObject() bool { return v.raw[0] == '{' }
func (v *value) isList() bool   { return v.raw[0] == '[' }
func (v *value) isString() bool { return v.raw[0] == '"' }

// get returns the member of an object with exactly this name, or nil.
func (v *value) get(name string) *value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// text is what a string means; half surrogates are replaced.
func (v *value) text() string { return unquote(v.raw) }

func unquote(raw []byte) string {
	var s string
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	_ = json.Unmarshal(raw, &s) // it is valid
	return s
}

// appendTo appends the canonical form; a line after the first one begins with indent.
func (v *value) appendTo(to []byte, indent string) []byte {
	inner := indent + "  "
	switch {
	case v.isString():
		return appendQuoted(to, v.raw)
	case len(v.members) > 0:
		for i, m := range v.members {
			to = append(to, "{,"[min(i, 1)])
			to = append(append(append(to, inner...), m.quoted...), ": "...)
			to = m.value.appendTo(to, inner)
		}
		return append(append(to, indent...), '}')
	case len(v.items) > 0:
		for i, item := range v.items {
			to = append(append(to, "[,"[min(i, 1)]), inner...)
			to = item.appendTo(to, inner)
		}
		return append(append(to, indent...), ']')
	case v.isObject():
		return append(to, "{}"...)
	case v.isList():
		return append(to, "[]"...)
	}
	return append(to, v.raw...)
}

// appendQuoted appends a JSON string with every character in its one canonical
// spelling. Half surrogates, which have no other, stay.
func appendQuoted(to, raw []byte) []byte {
	to = append(to, '"')
	for i := 1; i < len(raw)-1; {
		c := raw[i]
		switch {
		case c == '\\' && raw[i+1] == 'u':
			unit, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16) // it is valid
			to = appendUnit(to, uint16(unit))
			i += 6
		case c == '\\':
			to = appendUnit(to, escaped(raw[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			to = appendUnit(to, uint16(c))
			i++
		default:
			r, size := utf8.DecodeRune(raw[i:])
			for _, unit := range utf16.Encode([]rune{r}) {
				to = appendUnit(to, unit)
			}
			i += size
		}
	}
	return append(to, '"')
}

const (
	escapes  = `bfnrt`
	controls = "\b\f\n\r\t"
)

// escaped is what a character after a backslash means.
func escaped(c byte) uint16 {
	if i := strings.IndexByte(escapes, c); i >= 0 {
		return uint16(controls[i])
	}
	return uint16(c)
}

func appendUnit(to []byte, unit uint16) []byte {
	switch {
	case unit == '"' || unit == '\\':
		return append(to, '\\', byte(unit))
	case unit >= ' ' && unit <= '~':
		return append(to, byte(unit))
	case unit < ' ' && strings.IndexByte(controls, byte(unit)) >= 0:
		return append(to, '\\', escapes[strings.IndexByte(controls, byte(unit))])
	}
	return fmt.Appendf(to, `\u%04x`, unit)
}

// read reads one JSON document: UTF-8 without a byte order mark, nothing behind
// it, no member twice, no NUL in a name, nothing beyond the limits.
func read(text []byte) (*value, error) { return readTo(text, MaxDepth) }

// readTo is read with a limit of its own for nesting.
func readTo(text []byte, depth int) (*value, error) {
	if len(text) > MaxBytes {
		return nil, malformed("it is longer than %d MiB", MaxBytes>>20)
	}
	if !utf8.Valid(text) {
		return nil, malformed("it is not UTF-8")
	}
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return nil, malformed("it is not one JSON document: %w", err)
	}
	r := reader{text: text, limit: depth}
	return r.value(0)
}

// reader walks over text that is known to be valid JSON.
type reader struct {
	text   []byte
	limit  int // of nesting
	at     int
	values int
}

// next skips to the next token and returns its first byte. Commas and colons
// are where they belong, so they need no attention.
func (r *reader) next() byte {
	for strings.IndexByte(" \t\r\n,:", r.text[r.at]) >= 0 {
		r.at++
	}
	return r.text[r.at]
}

// scalar returns the text of the token that begins here, and goes behind it.
func (r *reader) scalar() []byte {
	start := r.at
	if r.text[start] != '"' {
		for r.at++; r.at < len(r.text) && strings.IndexByte(" \t\r\n,:]}", r.text[r.at]) < 0; {
			r.at++
		}
		return r.text[start:r.at:r.at]
	}
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			r.at++
		}
	}
	r.at++
	return r.text[start:r.at:r.at]
}

func (r *reader) value(depth int) (*value, error) {
	first, start, v := r.next(), r.at, &value{}
	if r.values++; r.values > maxValues {
		return nil, malformed("it holds more than %d values", maxValues)
	}
	if depth >= r.limit {
		return nil, malformed("it is nested more than %d deep", r.limit)
	}
	var err error
	switch first {
	case '{':
		v.members, err = r.object(depth)
	case '[':
		v.items, err = r.list(depth)
	default:
		r.scalar()
	}
	v.raw = r.text[start:r.at:r.at]
	return v, err
}

func (r *reader) list(depth int) ([]*value, error) {
	var items []*value
	for r.at++; r.next() != ']'; {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	r.at++
	return items, nil
}

// object reads members and sorts them by name.
func (r *reader) object(depth int) ([]member, error) {
	var members []member
	for r.at++; r.next() != '}'; {
		raw := r.scalar()
		m := member{name: unquote(raw), quoted: string(appendQuoted(nil, raw))}
		if strings.IndexByte(m.name, 0) >= 0 {
			return nil, malformed("the name %s has the character NUL in it", brief(m.quoted))
		}
		var err error
		if m.value, err = r.value(depth + 1); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	r.at++
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.quoted, b.quoted))
	})
	for i := 1; i < len(members); i++ {
		if members[i].quoted == members[i-1].quoted {
			return nil, malformed("%s is there twice", brief(members[i].quoted))
		}
	}
	return members, nil
}

// ErrMalformed says that a document is not what it should be; the text around
// it says why.
var ErrMalformed = errors.New("malformed")

// flaw is an ErrMalformed whose text is only the reason.
type flaw struct{ error }

func (f flaw) Unwrap() []error { return []error{f.error, ErrMalformed} }

func malformed(format string, args ...any) error { return flaw{fmt.Errorf(format, args...)} }

// brief shortens text that others wrote, for messages.
func brief(text string) string {
	const limit = 100
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}
