package taskfile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/taskcluster/slugid-go/slugid"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/schemas"
)

// largest bounds what is read of a file, in bytes.
const largest = 10 << 20

// Read returns the content of a file, or of standard input for "-".
func Read(path string) ([]byte, error) {
	in := os.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read the file: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, largest+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(data) > largest {
		return nil, fmt.Errorf("cannot read %s: it is larger than %d MiB, which no queue accepts", path, largest>>20)
	}
	return data, nil
}

// Task is a task definition on its way to a queue.
type Task struct {
	// ID is the id it gets; empty for a new one.
	ID         string
	definition map[string]any
}

// NewID returns an id for a task that is yet to be created.
func NewID() string { return slugid.Nice() }

// Load reads a task, checks it and fills in what a person may leave out. What
// check finds, and what cannot be parsed, are document.Problems.
func Load(path string, now time.Time, check func(*document.Document) error) (Task, error) {
	data, err := Read(path)
	if err != nil {
		return Task{}, err
	}
	doc, err := document.Parse(path, data)
	if err != nil {
		return Task{}, err
	}
	if err := check(doc); err != nil {
		return Task{}, err
	}
	var t Task
	if err := doc.Decode(&t.definition); err != nil {
		return Task{}, fmt.Errorf("cannot decode the task: %w", err)
	}
	t.fillIn(path, now)
	return t, nil
}

// Check checks a task for a worker like this one, its payload included.
func Check(doc *document.Document) error {
	err := CheckDefinition(doc)
	problems, ok := errors.AsType[document.Problems](err)
	if err != nil && !ok {
		return err
	}
	if inner, ok := doc.At("/payload"); ok {
		_, err := payload.ParseDocument(inner)
		more, ok := errors.AsType[document.Problems](err)
		if err != nil && !ok {
			return err
		}
		problems = append(problems, more...)
	}
	return found(problems)
}

// CheckDefinition checks a task without its payload, which may be for any kind
// of worker.
func CheckDefinition(doc *document.Document) error {
	schema, err := document.Compile("task.json", schemas.Task)
	if err != nil {
		return err
	}
	if problem, ok := bare(doc); ok {
		return document.Problems{problem}
	}
	return found(doc.Check(schema))
}

// bare tells whether the document is a payload with no task around it.
func bare(doc *document.Document) (document.Problem, bool) {
	_, command := doc.At("/command")
	_, whole := doc.At("/payload")
	return doc.Problem("/command", "belongs to the payload", "write payload: above it and indent all that is the payload's"), command && !whole
}

// found is an error if there are any problems.
func found(problems document.Problems) error {
	if len(problems) == 0 {
		return nil
	}
	return problems.Sort()
}

// Defaults of what a person leaves out.
const (
	defaultQueue    = "local/generic-worker"
	defaultDeadline = 24 * time.Hour
)

// fillIn sets the members that every task must have and that follow from the
// moment, the machine and the person.
func (t Task) fillIn(path string, now time.Time) {
	setDefault(t.definition, "created", stamp(now))
	setDefault(t.definition, "deadline", stamp(now.Add(defaultDeadline)))
	if _, given := t.definition["provisionerId"]; !given {
		setDefault(t.definition, "taskQueueId", defaultQueue)
	}
	owner := "nobody@localhost"
	if u, err := user.Current(); err == nil {
		owner = strings.ReplaceAll(u.Username, `\`, ".") + "@localhost"
	}
	metadata, _ := t.definition["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	setDefault(metadata, "name", path)
	setDefault(metadata, "description", "Task file "+path)
	setDefault(metadata, "owner", owner)
	setDefault(metadata, "source", "https://localhost/"+strings.TrimLeft(path, "/."))
	t.definition["metadata"] = metadata
}

func setDefault(object map[string]any, name string, value any) {
	if _, given := object[name]; !given {
		object[name] = value
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// TaskQueueID is the pool the task is for.
func (t Task) TaskQueueID() string {
	if id, ok := t.definition["taskQueueId"].(string); ok {
		return id
	}
	return fmt.Sprint(t.definition["provisionerId"], "/", t.definition["workerType"])
}

// idForm is a UUID in URL-safe base64; which UUIDs it takes is for a queue to say.
var idForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`) })

// CheckID returns an error that says what a task id is if this is none.
func CheckID(id string) error {
	if !idForm().MatchString(id) {
		return fmt.Errorf("%s is no task id: these are 22 letters, digits, - and _, such as fN1SbArXTPSVFNUvaOlinQ; task create prints one", document.Quote(id))
	}
	return nil
}

// Encode returns the task's id, or a new one, and the form the queue takes.
func (t Task) Encode() (taskID string, definition json.RawMessage, err error) {
	definition, err = json.Marshal(t.definition)
	if err != nil {
		return "", nil, fmt.Errorf("cannot encode the task: %w", err)
	}
	return cmp.Or(t.ID, NewID()), definition, nil
}
