package payload

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/schemas"
)

// Problems are everything that is wrong with a payload. The text is for the log
// of the task: at most 20 lines, each with a JSON pointer, what is wrong and what
// to write instead.
type Problems = document.Problems

// Parse reads the payload of a task for this platform. If the payload is at
// fault, the error is Problems.
func Parse(raw json.RawMessage) (Payload, error) {
	doc, err := document.ParseJSON("", raw)
	if err != nil {
		return Payload{}, err
	}
	return ParseDocument(doc)
}

// ParseDocument is Parse for a document that was read already, such as a part of
// a task file: its problems have the positions in that file.
func ParseDocument(doc *document.Document) (Payload, error) {
	schema, err := platformSchema()
	if err != nil {
		return Payload{}, err
	}
	return parse(doc, schema, commandLines)
}

// Ready does ahead what the first Parse would do: it compiles the schemas.
func Ready() error {
	_, err := platformSchema()
	_, docker := dockerSchema()
	return cmp.Or(err, docker)
}

var platformSchema = sync.OnceValues(func() (*document.Schema, error) {
	return document.Compile("payload.json", schemas.Payload)
})

// parse reads a payload; lines tells whether commands are lines of a batch file.
func parse(doc *document.Document, schema *document.Schema, lines bool) (Payload, error) {
	root, _ := doc.Value().(map[string]any)
	if image, ok := root["image"]; ok && lines {
		return Payload{}, Problems{dockerWorker(doc, image)}
	} else if ok {
		return parseDocker(doc, root)
	}
	c := newChecker(doc, root, replaced(doc.Check(schema), foreign(doc, root, lines)))
	c.lines = lines
	c.commands()
	c.env()
	c.logs()
	c.artifacts()
	c.mounts()
	if len(c.problems) > 0 {
		return Payload{}, c.problems.Sort()
	}
	return decode(doc, lines)
}

// replaced puts what is known better in the place of what a schema found there
// and below.
func replaced(problems Problems, better []document.Problem) Problems {
	for _, b := range better {
		problems = slices.DeleteFunc(problems, func(p document.Problem) bool {
			return p.Pointer == b.Pointer || strings.HasPrefix(p.Pointer, b.Pointer+"/")
		})
	}
	return append(problems, better...)
}

// wire is a payload as JSON spells it.
type wire struct {
	Command                   []Command         `json:"command"`
	Env                       map[string]string `json:"env"`
	EncryptedEnv              []string          `json:"encryptedEnv"`
	MaxRunTime                int64             `json:"maxRunTime"`
	Artifacts                 []wireArtifact    `json:"artifacts"`
	Features                  Features          `json:"features"`
	Logs                      Logs              `json:"logs"`
	OSGroups                  []string          `json:"osGroups"`
	Mounts                    []wireMount       `json:"mounts"`
	TaskclusterProxyInterface string            `json:"taskclusterProxyInterface"`
	SupersederURL             string            `json:"supersederUrl"`
	RDPInfo                   string            `json:"rdpInfo"`
	OnExitStatus              wireExitStatus    `json:"onExitStatus"`
}

type wireExitStatus struct {
	Retry       []int64 `json:"retry"`
	PurgeCaches []int64 `json:"purgeCaches"`
}

func (w wireExitStatus) codes() OnExitStatus {
	return OnExitStatus{Retry: codes(w.Retry), PurgeCaches: codes(w.PurgeCaches)}
}

type wireArtifact struct {
	Type            string `json:"type"`
	Path            string `json:"path"`
	Name            string `json:"name"`
	Expires         string `json:"expires"`
	ContentType     string `json:"contentType"`
	ContentEncoding string `json:"contentEncoding"`
	Optional        bool   `json:"optional"`
	MaxFiles        int    `json:"maxFiles"`
}

const (
	defaultLive    = "public/logs/live.log"
	defaultBacking = "public/logs/live_backing.log"
)

// Default is what holds for a task that says nothing, or nothing that can be
// understood: no commands, and logs under their usual names.
func Default() Payload {
	return Payload{
		Features:                  Features{LiveLog: true, BackingLog: true, ResourceMonitor: ResourceMonitor{On: true}},
		Logs:                      Logs{Live: defaultLive, Backing: defaultBacking},
		TaskclusterProxyInterface: "localhost",
	}
}

// decode turns a checked document into a Payload.
func decode(doc *document.Document, lines bool) (Payload, error) {
	byDefault := Default()
	w := wire{Features: byDefault.Features, Logs: byDefault.Logs, TaskclusterProxyInterface: byDefault.TaskclusterProxyInterface}
	if err := doc.Decode(&w); err != nil {
		return Payload{}, err
	}
	p := Payload{
		Commands:                  w.Command,
		Env:                       w.Env,
		EncryptedEnv:              w.EncryptedEnv,
		MaxRunTime:                time.Duration(w.MaxRunTime) * time.Second,
		Features:                  w.Features,
		Logs:                      w.Logs,
		OnExitStatus:              w.OnExitStatus.codes(),
		OSGroups:                  w.OSGroups,
		TaskclusterProxyInterface: w.TaskclusterProxyInterface,
		SupersederURL:             w.SupersederURL,
		RDPInfo:                   w.RDPInfo,
	}
	for i, a := range w.Artifacts {
		expires, err := dateTime(a.Expires)
		if err != nil {
			return Payload{}, fmt.Errorf("cannot read the date of artifact %d: %w", i, err)
		}
		p.Artifacts = append(p.Artifacts, Artifact{
			Type: a.Type, Path: a.Path, Name: effectiveName(a.Type, a.Path, a.Name), Expires: expires,
			ContentType: a.ContentType, ContentEncoding: a.ContentEncoding, Optional: a.Optional, MaxFiles: a.MaxFiles,
		})
	}
	for i, m := range w.Mounts {
		mount, err := m.mount(lines)
		if err != nil {
			return Payload{}, fmt.Errorf("cannot decode the content of mount %d: %w", i, err)
		}
		p.Mounts = append(p.Mounts, mount)
	}
	return p, nil
}

// codes takes exit codes as a process of this platform has them: those above
// 2^31 are negative where an int has 32 bits.
func codes(values []int64) []int {
	var list []int
	for _, value := range values {
		list = append(list, int(value))
	}
	return list
}

// dateTime reads a date of a payload; the empty text is the zero time.
func dateTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, strings.ToUpper(text))
}
