package payload

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/payload/paths"
)

// Payload is what a task asks for, with every default filled in that does not
// depend on the files of the task.
type Payload struct {
	// Image is set if the payload was written for docker-worker, and else nil.
	Image *Image
	// Notes say what such a payload gets in another way than it asks for it:
	// sentences for the author.
	Notes        []string
	Commands     []Command         // at least one
	Env          map[string]string // names are not empty and have no '=', NUL or control character
	EncryptedEnv []string          // OpenPGP messages in base64, as they stand in the payload
	MaxRunTime   time.Duration     // for all commands together; whole seconds, at least one
	Artifacts    []Artifact
	Features     Features
	Logs         Logs
	OnExitStatus OnExitStatus
	OSGroups     []string
	Mounts       []Mount
	// TaskclusterProxyInterface is "localhost" or "docker-bridge".
	TaskclusterProxyInterface string
	SupersederURL             string // has no effect
	RDPInfo                   string // name of an artifact; Windows only
}

// Command is one command of a task. Of its fields the one is set that the
// platform uses.
type Command struct {
	Argv []string // the program and its arguments, at least the program
	Line string   // a line of a batch file, on Windows
}

// Words are the command as a session takes it: the program and its arguments,
// or the one line.
func (c Command) Words() []string {
	if c.Argv == nil {
		return []string{c.Line}
	}
	return c.Argv
}

// UnmarshalJSON takes a list of strings as Argv and a string as Line.
func (c *Command) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &c.Line)
	}
	return json.Unmarshal(text, &c.Argv)
}

// Kinds of artifacts.
const (
	File      = "file"
	Directory = "directory"
	Glob      = "glob"
)

// Artifact is what is kept when the task is done: a file, a directory or the
// files that match a pattern.
type Artifact struct {
	Type string // File, Directory or Glob
	Path string // relative to the task directory and inside it, or absolute; of a Glob the pattern
	// Name is that of the artifact. For a directory or a glob it is what the
	// names of its files begin with, before a slash; it is empty for files that
	// are named by their path in the directory alone.
	Name            string
	Expires         time.Time // zero: with the task
	ContentType     string    // empty: by the name of the file
	ContentEncoding string    // "gzip", "identity" or empty: by the name of the file
	Optional        bool
	MaxFiles        int // that a Glob may match; 0 for other types
}

// ParsePattern takes the path of a Glob apart. Parse has done the same, so that
// it is no error for one in a Payload.
func ParsePattern(pattern string) (paths.Pattern, error) {
	p, fault := paths.ParsePattern(pattern)
	if fault != nil {
		return paths.Pattern{}, fmt.Errorf("pattern %s %s", document.Quote(pattern), fault.What)
	}
	return p, nil
}

// Features are what the worker is asked to do beside running the commands.
type Features struct {
	LiveLog              bool            `json:"liveLog"`    // on by default
	BackingLog           bool            `json:"backingLog"` // on by default
	TaskclusterProxy     bool            `json:"taskclusterProxy"`
	Interactive          Interactive     `json:"interactive"`
	ResourceMonitor      ResourceMonitor `json:"resourceMonitor"` // on by default
	PhaseTimings         bool            `json:"phaseTimings"`
	LoopbackVideo        bool            `json:"loopbackVideo"`
	LoopbackAudio        bool            `json:"loopbackAudio"`
	ChainOfTrust         bool            `json:"chainOfTrust"`
	RunTaskAsCurrentUser bool            `json:"runTaskAsCurrentUser"`
	RunAsAdministrator   bool            `json:"runAsAdministrator"`
	HideCmdWindow        bool            `json:"hideCmdWindow"`
}

// Interactive is whether a task has a shell, and for how long after a failure.
type Interactive struct {
	On            bool
	HoldOnFailure time.Duration // whole minutes; 0: the shell ends with the last command
}

// UnmarshalJSON takes true, false, or an object, which means true.
func (i *Interactive) UnmarshalJSON(text []byte) error {
	var more struct {
		HoldOnFailure int64 `json:"holdOnFailure"`
	}
	on, err := boolOr(text, &more)
	*i = Interactive{On: on, HoldOnFailure: time.Duration(more.HoldOnFailure) * time.Minute}
	return err
}

// ResourceMonitor is whether commands are measured, and where the figures go
// beside the log.
type ResourceMonitor struct {
	On       bool
	Artifact bool // publish them
}

// UnmarshalJSON takes true, false, or an object, which means true.
func (m *ResourceMonitor) UnmarshalJSON(text []byte) error {
	var more struct {
		Artifact bool `json:"artifact"`
	}
	on, err := boolOr(text, &more)
	*m = ResourceMonitor{On: on, Artifact: more.Artifact}
	return err
}

// boolOr reads true or false, or else an object, which stands for true.
func boolOr(text []byte, object any) (on bool, err error) {
	if len(text) > 0 && text[0] == '{' {
		return true, json.Unmarshal(text, object)
	}
	err = json.Unmarshal(text, &on)
	return on, err
}

// Logs are the names of the log artifacts.
type Logs struct {
	Live    string `json:"live"`    // public/logs/live.log by default
	Backing string `json:"backing"` // public/logs/live_backing.log by default
}

// OnExitStatus lists exit codes of commands that have a meaning of their own.
type OnExitStatus struct {
	Retry       []int // the task met an intermittent problem
	PurgeCaches []int // its writable caches are thrown away
}

// Requests names what the task asks for beyond commands, logs and artifacts, by
// the keys of the payload and in a fixed order. It leaves out what is on by
// default, so that a pool without such a feature still runs ordinary tasks.
func (p Payload) Requests() []string {
	f := p.Features
	asked := []struct {
		name string
		on   bool
	}{
		{"encryptedEnv", len(p.EncryptedEnv) > 0},
		{"mounts", len(p.Mounts) > 0},
		{"osGroups", len(p.OSGroups) > 0},
		{"taskclusterProxy", f.TaskclusterProxy},
		{"interactive", f.Interactive.On},
		{"phaseTimings", f.PhaseTimings},
		{"resourceMonitor", f.ResourceMonitor.Artifact}, // no task has to be measured
		{"loopbackVideo", f.LoopbackVideo},
		{"loopbackAudio", f.LoopbackAudio},
		{"chainOfTrust", f.ChainOfTrust},
		{"runTaskAsCurrentUser", f.RunTaskAsCurrentUser},
		{"runAsAdministrator", f.RunAsAdministrator},
		{"hideCmdWindow", f.HideCmdWindow},
		{"rdpInfo", p.RDPInfo != ""},
	}
	var names []string
	for _, request := range asked {
		if request.on {
			names = append(names, request.name)
		}
	}
	return names
}

// Key is the key by which the payload asks for one of its Requests: the same name,
// but for the caches of a payload for docker-worker.
func (p Payload) Key(request string) string {
	if p.Image != nil && request == "mounts" {
		return "cache"
	}
	return request
}
