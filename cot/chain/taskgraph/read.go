package taskgraph

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
)

const (
	maxEntries = 100_000
	maxEntry   = 4 << 20 // bytes; a queue takes tasks of a quarter of that
	maxName    = 256     // bytes; all names are held in memory, and a task id has 22
)

// Entry is one task of a graph, not yet looked at.
type Entry struct {
	TaskID string
	raw    json.RawMessage
}

// Task returns the definition that the graph has for the task.
func (e Entry) Task() (definition.Object, error) {
	entry, err := definition.Parse(e.raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read task %s of the graph: %w", e.TaskID, err)
	}
	task := entry.Object("task")
	if task == nil {
		return nil, fmt.Errorf("cannot read task %s of the graph: it has no object \"task\"", e.TaskID)
	}
	return task, nil
}

// Each reads a task-graph.json and calls visit with its tasks, in order, until
// an error. Only one of them is in memory at a time.
func Each(r io.Reader, visit func(Entry) error) error {
	w := &window{from: r, left: maxEntry}
	d := json.NewDecoder(w)
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return malformed("it is no object", err)
	}
	seen := map[string]bool{}
	for d.More() {
		w.left = maxEntry
		token, err := d.Token()
		id, ok := token.(string)
		switch {
		case err != nil || !ok:
			return malformed("a member has no name", err)
		case len(id) > maxName:
			return malformed(fmt.Sprintf("a member's name has more than %d bytes", maxName), nil)
		case seen[id]:
			return malformed(fmt.Sprintf("it has task %q twice", id), nil)
		case len(seen) == maxEntries:
			return malformed(fmt.Sprintf("it has more than %d tasks", maxEntries), nil)
		}
		seen[id] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return malformed("", err)
		}
		if err := visit(Entry{TaskID: id, raw: raw}); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return malformed("", err)
	}
	w.left = maxEntry
	if _, err := d.Token(); err != io.EOF {
		return malformed("there is more after its end", nil)
	}
	return nil
}

func malformed(reason string, err error) error {
	if err == nil {
		err = errors.New(reason)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("cannot read the task graph: %w", err)
}

// window lets only so many bytes through until it is widened again, because a
// json.Decoder holds in memory what it decodes.
type window struct {
	from io.Reader
	left int
}

func (w *window) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, fmt.Errorf("one of its tasks has more than %d bytes", maxEntry)
	}
	n, err := w.from.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}
