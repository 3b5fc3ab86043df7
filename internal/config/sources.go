package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/internal/document"
)

// largestFile bounds the configuration file, in bytes.
const largestFile = 1 << 20

// sources are what the file and the environment say, and what is wrong with it.
type sources struct {
	root *key

	path     string             // of the file; empty for none
	file     *document.Document // nil if there is none, or none that can be read
	settings map[string]any     // of the file and the environment, without what was refused
	fromFile map[string]any     // those of the file alone
	origin   map[string]string  // environment variable by JSON pointer

	secretFiles []string // that the environment names

	problems   document.Problems
	unreadable bool            // at least one of the problems makes it so
	refused    map[string]bool // top-level keys about which enough was said, "" for all
}

// readSources reads the file at path, unless it is empty, and the environment.
// What is wrong with them is left in problems.
func readSources(path string, environ []string) (*sources, error) {
	root, err := readKeys()
	if err != nil {
		return nil, err
	}
	s := &sources{root: root, path: path, origin: map[string]string{}, refused: map[string]bool{}}
	if path != "" {
		s.readFile()
	}
	s.settings = s.fromFile
	s.readEnvironment(environ)
	return s, nil
}

func (s *sources) readFile() {
	text, err := readRegular(s.path, largestFile)
	if err != nil {
		s.unreadable = true
		s.problems = append(s.problems, document.Problem{Name: s.path, What: err.Error(), Remedy: fileRemedy(err)})
		return
	}
	file, err := document.Parse(s.path, text)
	if problems, ok := errors.AsType[document.Problems](err); ok {
		s.unreadable = true
		s.problems = append(s.problems, problems...)
		return
	}
	s.file = file
	s.fromFile = s.admit(file, refusals(file))
}

func fileRemedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "check the path, or write the file: rootURL: local is enough to start with"
	case errors.Is(err, fs.ErrPermission):
		return "let the worker's user read it"
	}
	return "give the path of a text file"
}

// readRegular reads a file that is no directory, pipe or device. Its error is
// one clause about the file.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", withoutPath(err))
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", withoutPath(err))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", withoutPath(err))
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("is longer than %d KiB", limit>>10)
	}
	return text, nil
}

// withoutPath drops the path from an error of package os: it is known.
func withoutPath(err error) error {
	if with, ok := errors.AsType[*fs.PathError](err); ok {
		return with.Err
	}
	return err
}

// admit notes the problems of one document and returns what is left of it
// without the settings they are about.
func (s *sources) admit(doc *document.Document, problems document.Problems) map[string]any {
	value := doc.Value()
	if !s.root.accepts(value) {
		s.unreadable = true
	}
	s.problems = append(s.problems, problems...)
	settings, _ := value.(map[string]any)
	for _, problem := range problems {
		name := top(problem.Pointer)
		delete(settings, name)
		s.refused[name] = true
		if s.root.Properties[name] != nil || name == "" {
			continue
		}
		// A misspelt key is not also missing.
		if nearest := document.Nearest(name, slices.Sorted(maps.Keys(s.root.Properties))); nearest != "" {
			s.refused[nearest] = true
		}
	}
	return settings
}

// top returns the first token of a JSON pointer. Names with / or ~ in them are
// no settings, so that they come out changed does not matter.
func top(pointer string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	return name
}

// problem returns a problem with a setting, at the place it comes from.
func (s *sources) problem(pointer, what, remedy string) document.Problem {
	if variable := s.origin[pointer]; variable != "" {
		return document.Problem{Name: variable, Pointer: pointer, What: what, Remedy: remedy}
	}
	if s.file != nil {
		return s.file.Problem(pointer, what, remedy)
	}
	return document.Problem{Name: s.path, Pointer: pointer, What: what, Remedy: remedy}
}

// complain notes a problem with a setting, unless enough was said about it.
func (s *sources) complain(pointer, what, remedy string) {
	if !s.refused[top(pointer)] && !s.refused[""] {
		s.problems = append(s.problems, s.problem(pointer, what, remedy))
	}
}
