package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// FuzzTemplate renders in this process what is too small to need much, and
// checks that whatever comes out is within the limits.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"a: ${x}", "{$eval: 'x + x'}", "{$map: [1, 2], each(y): {$eval: y}}", "a: &b [1]\nc: *b", "$let: {a: 1}\nin: ${a}",
		"{$merge: [{a: 1}, {$if: 'x', then: {b: 2}}]}", "{$json: {$eval: x}}", "{$sort: [3, 1]}", "[", "{$fromNow: 1 day}",
		"{$switch: {'true': 1}}", "{$eval: 'x[1:]'}", "{$find: [1], each(y): 'y == 1'}", "{$eval: 'typeof(min)'}",
	} {
		f.Add([]byte(seed))
	}
	limits := Limits{Input: 200, Nodes: 1000, Depth: 20, Output: 1000}.withDefaults()
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("range")) {
			t.Skip("can need any memory, however short the text")
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			result, err := evaluate(Job{
				Template: text, TaskID: "own", DecisionID: "parent",
				Context: map[string]json.RawMessage{"x": json.RawMessage(`"ab"`), "now": json.RawMessage(`"2031-01-01T00:00:00.000Z"`)},
			}, limits)
			switch {
			case err != nil && (!errors.Is(err, ErrTemplate) || len(err.Error()) > 1000):
				t.Errorf("%q: %v", text, err)
			case err == nil && (!json.Valid(result) || len(result) > limits.Output):
				t.Errorf("%q: %s", text, result)
			}
		}()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Skip("needs a child process")
		}
	})
}
