package config

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/internal/document"
)

const (
	prefix     = "GENERIC_WORKER_"
	fileSuffix = "_FILE"
	// largestSecret bounds the file of one secret, in bytes.
	largestSecret = 64 << 10
)

// readEnvironment puts what the environment says on top of the settings.
func (s *sources) readEnvironment(environ []string) {
	given := ownVariables(environ)
	known := s.root.variables()
	// In this order an object comes before the settings in it.
	for _, variable := range slices.Sorted(maps.Keys(given)) {
		path, ok := known[variable]
		if ok {
			s.override(variable, path, given[variable])
			continue
		}
		setting, isFile := strings.CutSuffix(variable, fileSuffix)
		path, ok = known[setting]
		if !isFile || !ok {
			s.refuseVariable(variable, "is not a known variable", nearestVariable(variable, known))
			continue
		}
		if _, both := given[setting]; both {
			s.refuseVariable(variable, "is set, and so is "+setting, "unset one of the two")
			continue
		}
		if secret, ok := s.secretFile(variable, given[variable], path); ok {
			s.override(variable, path, secret)
		}
	}
}

func nearestVariable(variable string, known map[string][]string) string {
	names := make([]string, 0, len(known))
	for _, name := range slices.Sorted(maps.Keys(known)) {
		names = append(names, strings.TrimPrefix(name, prefix))
	}
	if nearest := document.Nearest(strings.TrimPrefix(variable, prefix), names); nearest != "" {
		return "did you mean " + prefix + nearest + "?"
	}
	return "unset it; a variable is called " + prefix + " and the key in upper snake case"
}

// ownVariables returns the variables that are meant for the configuration. Of
// several with one name the first counts, as for getenv.
func ownVariables(environ []string) map[string]string {
	own := map[string]string{}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if _, again := own[name]; strings.HasPrefix(name, prefix) && !again {
			own[name] = text
		}
	}
	return own
}

func (s *sources) refuseVariable(variable, what, remedy string) {
	s.unreadable = true
	s.problems = append(s.problems, document.Problem{Name: variable, What: what, Remedy: remedy})
}

// secretFile reads the secret for the setting at path from a file.
func (s *sources) secretFile(variable, file string, path []string) (secret string, ok bool) {
	if !s.root.at(path).Secret {
		s.refuseVariable(variable, "names a file for a setting that is no secret", "set "+strings.TrimSuffix(variable, fileSuffix)+" instead")
		return "", false
	}
	text, err := readRegular(file, largestSecret)
	if err != nil {
		// Without its name: the secret itself may stand there by mistake.
		s.refuseVariable(variable, "names a file that "+err.Error(), "give the path of a file that holds the secret")
		s.refused[path[0]] = true
		return "", false
	}
	s.secretFiles = append(s.secretFiles, file)
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), true
}

// override sets one setting, if the schema allows the value.
func (s *sources) override(variable string, path []string, text string) {
	if !utf8.ValidString(text) {
		s.refuseVariable(variable, "is not UTF-8", "")
		s.refused[path[0]] = true
		return
	}
	var value any = text
	if !slices.Contains(s.root.at(path).Type, "string") && json.Valid([]byte(text)) {
		value = json.RawMessage(text)
	}
	for _, name := range slices.Backward(path) {
		value = map[string]any{name: value}
	}
	// The value is valid JSON, or text that is valid UTF-8.
	encoded, err := json.Marshal(value)
	if err != nil {
		panic("config: internal error: " + err.Error())
	}
	doc, err := document.ParseJSON(variable, encoded)
	if problems, ok := errors.AsType[document.Problems](err); ok {
		s.unreadable = true
		s.problems = append(s.problems, withoutPosition(problems)...)
		s.refused[path[0]] = true
		return
	}
	problems := withoutPosition(refusals(doc))
	s.settings = merge(s.settings, s.admit(doc, problems))
	if len(problems) == 0 {
		delete(s.refused, path[0])
		s.origin[document.Pointer(path...)] = variable
	}
}

// withoutPosition forgets places in a text that nobody wrote as it is.
func withoutPosition(problems document.Problems) document.Problems {
	for i := range problems {
		problems[i].Line, problems[i].Column = 0, 0
	}
	return problems
}
