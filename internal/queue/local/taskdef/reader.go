package taskdef

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
)

// maxProblems bounds the answer to a hostile document.
const maxProblems = 50

// reader collects what is wrong while it reads a document.
type reader struct {
	problems []Problem
}

func (r *reader) report(at, text string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{Pointer: at, Text: text})
	}
}

// property is one property that an object may have.
type property struct {
	name     string
	required bool
	read     func(at string, value json.RawMessage)
}

// object reads an object that has only the given properties.
func (r *reader) object(at string, value json.RawMessage, properties []property) {
	var members map[string]json.RawMessage
	if !r.decode(at, value, &members, "an object") {
		return
	}
	for _, p := range properties {
		member, present := members[p.name]
		switch {
		case present:
			p.read(at+"/"+p.name, member)
		case p.required:
			r.report(at+"/"+p.name, "is missing")
		}
		delete(members, p.name)
	}
	unknown := make([]string, 0, len(members))
	for name := range members {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		r.report(at+"/"+escape(name), "is not a known property; remove it or correct its name")
	}
}

// decode reads a value of the form that the given words describe.
func (r *reader) decode(at string, value json.RawMessage, into any, form string) bool {
	if !utf8.Valid(value) {
		r.report(at, "must be valid UTF-8")
		return false
	}
	if bytes.Equal(value, []byte("null")) || json.Unmarshal(value, into) != nil {
		r.report(at, "must be "+form)
		return false
	}
	return true
}

func (r *reader) pattern(s *string, form func() *regexp.Regexp) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		if r.decode(at, value, s, "a string") && !form().MatchString(*s) {
			r.report(at, "must match "+form().String())
		}
	}
}

func (r *reader) text(s *string, longest int) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		if r.decode(at, value, s, "a string") && utf8.RuneCountInString(*s) > longest {
			r.report(at, fmt.Sprintf("must have at most %d characters", longest))
		}
	}
}

func (r *reader) oneOf(s *string, names []string) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		if r.decode(at, value, s, "a string") && !slices.Contains(names, *s) {
			r.report(at, "must be one of "+strings.Join(names, ", "))
		}
	}
}

func (r *reader) integer(n *int, lowest, highest int) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		// A number like 5.0 is an integer to JSON Schema.
		var f float64
		if !r.decode(at, value, &f, "a number") {
			return
		}
		*n = int(f)
		if float64(*n) != f || *n < lowest || *n > highest {
			r.report(at, fmt.Sprintf("must be a whole number from %d to %d", lowest, highest))
		}
	}
}

func (r *reader) time(t *tcclient.Time) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		var s string
		if !r.decode(at, value, &s, "a string") {
			return
		}
		parsed, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
		if err != nil {
			r.report(at, "must be a time like 2030-01-31T12:00:00.000Z")
			return
		}
		*t = millis(parsed)
	}
}

// anyObject keeps an object as it is; numbers too large for a client are
// refused because it could not read the task.
func (r *reader) anyObject(raw *json.RawMessage) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		var members map[string]any
		if r.decode(at, value, &members, "an object") {
			*raw = value
		}
	}
}

// list says what a list of strings may hold.
type list struct {
	max    int // 0: any number
	unique bool
	item   func(string) string // what is wrong with an item, or nothing
}

func (r *reader) list(items *[]string, rule list) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		if !r.decode(at, value, items, "an array of strings") {
			return
		}
		if rule.max > 0 && len(*items) > rule.max {
			r.report(at, fmt.Sprintf("must have at most %d items", rule.max))
			return
		}
		seen := make(map[string]bool, len(*items))
		for i, item := range *items {
			if wrong := rule.item(item); wrong != "" {
				r.report(fmt.Sprintf("%s/%d", at, i), wrong)
			}
			if rule.unique && seen[item] {
				r.report(fmt.Sprintf("%s/%d", at, i), "is there twice")
			}
			seen[item] = true
		}
	}
}

// escape makes a name part of a JSON pointer.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
