package payload

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/payload/paths"
)

// checker finds what a schema cannot say. It runs even if the schema has found
// problems, so it takes nothing for granted about the types of values.
type checker struct {
	doc      *document.Document
	root     map[string]any
	lines    bool // this platform is Windows
	problems Problems
	reported map[string]bool // pointers of the problems that the schema found
}

// newChecker returns a checker for a document with the given problems.
func newChecker(doc *document.Document, root map[string]any, problems Problems) *checker {
	c := &checker{doc: doc, root: root, problems: problems, reported: make(map[string]bool)}
	for _, problem := range problems {
		c.reported[problem.Pointer] = true
	}
	return c
}

func (c *checker) add(pointer, what, remedy string) {
	c.problems = append(c.problems, c.doc.Problem(pointer, what, remedy))
}

// addUnlessReported leaves it at one problem if the schema found one there.
func (c *checker) addUnlessReported(pointer, what, remedy string) {
	if problem := c.doc.Problem(pointer, what, remedy); !c.reported[problem.Pointer] {
		c.problems = append(c.problems, problem)
	}
}

func (c *checker) commands() {
	list, _ := c.root["command"].([]any)
	for i, command := range list {
		argv, _ := command.([]any)
		c.arguments(document.Pointer("command", strconv.Itoa(i)), argv)
	}
}

func (c *checker) arguments(pointer string, argv []any) {
	for i, item := range argv {
		if text, _ := item.(string); len(text) > longestString {
			c.long(pointer+"/"+strconv.Itoa(i), "an argument")
		}
	}
}

func (c *checker) long(pointer, what string) {
	c.add(pointer, fmt.Sprintf("is longer than %d bytes, which is too much for %s", longestString, what),
		"put the text into a file: mounts can do that")
}

func (c *checker) env() {
	env, _ := c.root["env"].(map[string]any)
	folded := make(map[string]string) // names as Windows sees them
	for _, name := range slices.Sorted(maps.Keys(env)) {
		pointer := document.Pointer("env", name)
		value, _ := env[name].(string)
		other, taken := folded[strings.ToUpper(name)]
		folded[strings.ToUpper(name)] = name
		switch {
		case name == "":
			c.add(pointer, "is a variable without a name", "remove it or name it")
		case strings.Contains(name, "="):
			c.add(pointer, "has = in the name of a variable", "remove it from the name")
		case strings.ContainsFunc(name, control):
			c.add(pointer, "has a control character in the name of a variable", "remove it from the name")
		case taken && c.lines:
			c.add(pointer, "is the same variable as "+document.Quote(other)+" on Windows", "remove one of the two")
		case !Fits(name, value):
			c.long(pointer, "a variable")
		}
	}
}

// Fits tells whether a variable is short enough for the environment of a command.
func Fits(name, value string) bool { return len(name)+len("=")+len(value) <= longestString }

func control(r rune) bool { return r < ' ' || r == 0x7f }

// logs checks the names of the log artifacts and of other single artifacts.
func (c *checker) logs() {
	names, _ := c.root["logs"].(map[string]any)
	for _, key := range []string{"live", "backing"} {
		c.name(document.Pointer("logs", key), names[key])
	}
	c.name("/rdpInfo", c.root["rdpInfo"])
	live, backing := c.logNames()
	if live != "" && live == backing {
		pointer := "/logs/live"
		if _, given := names["live"]; !given {
			pointer = "/logs/backing"
		}
		c.add(pointer, "is the name of both the live log and the backing log", "give one of them another name")
	}
}

func (c *checker) name(pointer string, value any) {
	name, ok := value.(string)
	if !ok || name == "" {
		return
	}
	if what, remedy := nameFault(name); what != "" {
		c.addUnlessReported(pointer, what, remedy)
	}
}

// logNames returns the names that the logs of this task take, "" if off.
func (c *checker) logNames() (live, backing string) {
	features, _ := c.root["features"].(map[string]any)
	names, _ := c.root["logs"].(map[string]any)
	name := func(feature, key, ordinary string) string {
		if on, given := features[feature].(bool); given && !on {
			return ""
		}
		if name, ok := names[key].(string); ok {
			return name
		}
		return ordinary
	}
	return name("liveLog", "live", defaultLive), name("backingLog", "backing", defaultBacking)
}

func (c *checker) artifacts() {
	live, backing := c.logNames()
	taken := make(map[string]string) // name of a file to where it was first
	list, _ := c.root["artifacts"].([]any)
	for i, item := range list {
		fields, ok := item.(map[string]any)
		if !ok {
			continue
		}
		pointer := document.Pointer("artifacts", strconv.Itoa(i))
		kind, _ := fields["type"].(string)
		path, _ := fields["path"].(string)
		given, _ := fields["name"].(string)
		c.contentType(pointer, fields["contentType"])
		c.expires(pointer, fields["expires"])
		c.maxFiles(pointer, kind, fields["maxFiles"])
		name := effectiveName(kind, path, given)
		if (!c.path(pointer, path) || !c.pattern(pointer, kind, path)) && given == "" {
			continue // one problem with the path is enough
		}
		if !c.artifactName(pointer, kind, given, name) || kind != File {
			continue
		}
		first, twice := taken[name]
		switch {
		case twice:
			c.add(pointer, "has the name "+document.Quote(name)+" that "+first+" has, too", "give one of them another name")
		case name == live || name == backing:
			c.add(pointer, "has the name "+document.Quote(name)+" that is taken by the log of the task",
				"give it another name, or rename the log in /logs")
		}
		if !twice {
			taken[name] = pointer
		}
	}
}

// maxFiles sees to it that a glob says how much it may match.
func (c *checker) maxFiles(pointer, kind string, value any) {
	switch {
	case kind == Glob && value == nil:
		c.add(pointer, "is a glob without maxFiles", `say how many files it may match at most: "maxFiles": 100`)
	case kind != Glob && value != nil:
		c.addUnlessReported(pointer+"/maxFiles", "is only for a glob", "remove it")
	}
}

// artifactName reports a name that no artifact can have.
func (c *checker) artifactName(pointer, kind, given, name string) bool {
	if name == "" {
		return false // a path is missing, or a directory without a prefix
	}
	what, remedy := nameFault(name)
	switch {
	case what == "":
		return true
	case given != "":
		c.addUnlessReported(pointer+"/name", what, remedy)
	case kind == Directory:
		c.add(pointer+"/path", "is what the names of the artifacts begin with, and "+what, "add a name")
	default:
		c.add(pointer+"/path", "is the name of the artifact, too, and "+what, "add a name")
	}
	return false
}

func (c *checker) path(pointer, path string) bool {
	local := filepath.FromSlash(path)
	if path == "" || filepath.IsAbs(local) || filepath.IsLocal(local) {
		return true
	}
	c.add(pointer+"/path", "leads out of the task directory", "write a path inside it, or an absolute one")
	return false
}

// pattern reports a glob that can match nothing, or too much to try.
func (c *checker) pattern(pointer, kind, path string) bool {
	if kind != Glob || path == "" {
		return true
	}
	_, fault := paths.ParsePattern(path)
	if fault != nil {
		c.add(pointer+"/path", fault.What, fault.Remedy)
	}
	return fault == nil
}

func (c *checker) contentType(pointer string, value any) {
	text, _ := value.(string)
	if i := strings.IndexFunc(text, func(r rune) bool { return control(r) || r > 0x7e }); i >= 0 {
		c.add(pointer+"/contentType", fmt.Sprintf("has %+q in it, which a header cannot carry", []rune(text[i:])[0]),
			`write for example "text/plain; charset=utf-8"`)
	}
}

// expires catches what the schema takes for a date but Go does not.
func (c *checker) expires(pointer string, value any) {
	text, _ := value.(string)
	if _, err := dateTime(text); err != nil {
		c.addUnlessReported(pointer+"/expires", "must be a date and time with a time zone, not the string "+document.Quote(text),
			`write for example "2031-01-31T12:00:00.000Z"`)
	}
}
