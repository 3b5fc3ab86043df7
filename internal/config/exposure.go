package config

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/taskcluster/generic-worker/internal/document"
)

// exposures are ways in which the configuration is open to those who must not
// read or change it.
type exposures document.Problems

func (e exposures) sentences() []string {
	var list []string
	for _, exposure := range e {
		list = append(list, exposure.String())
	}
	return list
}

// exposures looks at who can read and change the file and those of secrets.
func (s *sources) exposures(set settings) exposures {
	var found exposures
	if s.file != nil {
		found = append(found, exposed(s.path, s.root.holdsSecret(s.fromFile))...)
	}
	for _, path := range append(slices.Clone(s.secretFiles), set.Ed25519SigningKey, set.OpenPGPSigningKey) {
		if path != "" {
			found = append(found, exposed(path, true)...)
		}
	}
	return found
}

// holdsSecret tells whether one of the settings is a secret that is set.
func (k *key) holdsSecret(settings map[string]any) bool {
	for name, value := range settings {
		if below := k.Properties[name]; below != nil && below.Secret && value != "" {
			return true
		}
	}
	return false
}

// exposed looks at one file and at the directories above it.
func exposed(path string, secret bool) exposures {
	info, err := os.Stat(path)
	if err != nil {
		return nil // it was read a moment ago
	}
	var found exposures
	add := func(what, remedy string) {
		found = append(found, document.Problem{Name: path, What: what, Remedy: remedy})
	}
	switch {
	case changeableByOthers(info):
		add("can be changed by other users", "chmod 600 it")
	case secret && readableByOthers(info):
		add("holds secrets and can be read by other users", "chmod 600 it")
	}
	if dir := replaceableIn(path); dir != "" {
		add("can be replaced by other users, who may write in "+dir, "chmod o-w the directory")
	}
	return found
}

// replaceableIn returns a directory above the file, symbolic links followed, in
// which everybody may rename what is in it; empty if there is none.
func replaceableIn(path string) string {
	resolved, err := filepath.EvalSymlinks(absolute(path))
	if err != nil {
		return ""
	}
	for dir := filepath.Dir(resolved); ; dir = filepath.Dir(dir) {
		// In a sticky directory such as /tmp only owners rename.
		info, err := os.Stat(dir)
		if err == nil && info.Mode()&fs.ModeSticky == 0 && writableByAll(info) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// verdict returns what is wrong with the configuration, if anything is.
func (s *sources) verdict(engine string, exposures exposures) error {
	e := &Error{Fault: Unreadable, Problems: s.problems}
	if !s.unreadable {
		e.Fault = Invalid
	}
	if cmp.Or(engine, insecure) != insecure {
		// Elsewhere than here, users are kept apart: whoever can change the file
		// or has its secrets is the worker.
		if len(s.problems) == 0 {
			e.Fault = Exposed
		}
		e.Problems = append(e.Problems, exposures...)
	}
	if len(e.Problems) == 0 {
		return nil
	}
	e.Problems = s.inOrder(e.Problems)
	return e
}

// inOrder puts problems of the file first, by position, and then those of the
// environment, by name.
func (s *sources) inOrder(problems document.Problems) document.Problems {
	var ofFile, others document.Problems
	for _, problem := range problems {
		if problem.Name == s.path {
			ofFile = append(ofFile, problem)
		} else {
			others = append(others, problem)
		}
	}
	return append(ofFile.Sort(), others...)
}
