package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrTemplate is in those errors of rendering that are the template's fault: it
// is not valid, JSON-e refuses it, or it asks for more than the limits allow.
var ErrTemplate = errors.New("template cannot be rendered")

// Job is one template and what it is rendered with.
type Job struct {
	// Template is a text in YAML, of which JSON is a part.
	Template []byte `json:"template"`
	// Let, when given, is a template itself: the definitions of a $let around
	// Template.
	Let json.RawMessage `json:"let,omitempty"`
	// Context has the values the template can use, besides the functions of
	// JSON-e.
	Context map[string]json.RawMessage `json:"context"`
	// Texts are further values of the context, as texts in YAML.
	Texts map[string][]byte `json:"texts,omitempty"`
	// TaskID and DecisionID are what the function as_slugid returns: DecisionID
	// for "decision" and TaskID for all other names. Without TaskID there is no
	// such function.
	TaskID     string `json:"taskId,omitempty"`
	DecisionID string `json:"decisionId,omitempty"`
}

// Limits bound one rendering. A zero field means its default.
type Limits struct {
	Input  int           `json:"input"`  // bytes of the template, and of each text: 1 MiB
	Nodes  int           `json:"nodes"`  // values in the template, each text and the result: 200 000
	Depth  int           `json:"depth"`  // nesting of the same: 100
	Output int           `json:"output"` // bytes of the result: 4 MiB
	Memory int64         `json:"memory"` // bytes the rendering process may use: 256 MiB
	Time   time.Duration `json:"time"`   // it may take: 10 s
}

func (l Limits) withDefaults() Limits {
	set := func(n *int, byDefault int) {
		if *n == 0 {
			*n = byDefault
		}
	}
	set(&l.Input, 1<<20)
	set(&l.Nodes, 200_000)
	set(&l.Depth, 100)
	set(&l.Output, 4<<20)
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	if l.Time == 0 {
		l.Time = 10 * time.Second
	}
	return l
}

// check refuses a job whose texts are too long to be read.
func (l Limits) check(job Job) error {
	if len(job.Template) > l.Input {
		return fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrTemplate, len(job.Template), l.Input)
	}
	for name, text := range job.Texts {
		if len(text) > l.Input {
			return fmt.Errorf("%w: its value %s has %d bytes, at most %d are read", ErrTemplate, name, len(text), l.Input)
		}
	}
	return nil
}
