package archtest

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// pattern is something that no file may contain.
type pattern struct {
	match   *regexp.Regexp
	message string
	only    string // suffix of the files it is about; "" is all
}

var patterns = []pattern{
	{
		match:   regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/work/`),
		message: "a path of one machine",
	},
	{
		match:   regexp.MustCompile(`\b(proxy\.golang|sum\.golang|registry\.npmjs|registry\.yarnpkg|deb\.debian|archive\.ubuntu|files\.pythonhosted|rubygems)\.(org|com)\b`),
		message: "the host name of a package registry: leave the choice to the machine's own configuration",
	},
	{
		match:   regexp.MustCompile(`^(<{7}|>{7}) `),
		message: "both sides of a conflict are still there: decide what the file should say",
	},
	{
		match:   regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`),
		message: "write TODO(owner): and a sentence that says what is missing and when it matters",
	},
	{
		match:   regexp.MustCompile(`//.*(^|[\s(])#[0-9]+\b|//.*\b[Ii]ssue #?[0-9]+\b`),
		message: "the number of an issue explains nothing to a reader: say the reason itself",
		only:    ".go",
	},
}

var ownedTODO = regexp.MustCompile(`\bTODO\([a-z][a-z0-9-]*\): \S+ \S+`)

// texts finds words that must not be in any file. This package, which names
// them, is left out.
func texts(t *Tree) []Finding {
	var found []Finding
	for _, name := range slices.Sorted(maps.Keys(t.texts)) {
		if strings.HasPrefix(name, "internal/archtest/") || bytes.IndexByte(t.texts[name], 0) >= 0 {
			continue
		}
		n := 0
		for line := range bytes.Lines(t.texts[name]) {
			n++
			found = append(found, wordsIn(name, n, line)...)
		}
	}
	return found
}

func wordsIn(name string, n int, line []byte) []Finding {
	var found []Finding
	for _, p := range patterns {
		if strings.HasSuffix(name, p.only) && p.match.Match(line) && !ownedTODO.Match(line) {
			found = append(found, Finding{Path: name, Line: n, Message: p.message})
		}
	}
	return found
}
