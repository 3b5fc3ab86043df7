package download

import (
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// CheckName refuses names of artifacts that could leave the directory of their
// task, or be another file than they look like.
func CheckName(name string) error {
	unsafe := report.Refuse("the path %q is not one below the artifacts of a task", name)
	if len(name) > 1024 || !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsFunc(name, odd) {
		return unsafe
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.TrimRight(part, ". ") != part || part == "" {
			return unsafe
		}
	}
	return nil
}

func odd(r rune) bool { return r == '\\' || r == unicode.ReplacementChar || !unicode.IsPrint(r) }

// CheckDistinct refuses names that cannot be files side by side: some file
// systems do not heed case, and what is a file is no directory.
func CheckDistinct(names []string) error {
	seen := make(map[string]string, len(names))
	for _, name := range names {
		folded := strings.Map(fold, name)
		if other, twice := seen[folded]; twice {
			return report.Refuse("the paths %q and %q differ only in case", other, name)
		}
		seen[folded] = name
	}
	for _, name := range names {
		folded := strings.Map(fold, name)
		for i := strings.LastIndexByte(folded, '/'); i > 0; i = strings.LastIndexByte(folded[:i], '/') {
			if other, there := seen[folded[:i]]; there {
				return report.Refuse("the path %q is below %q, which is a file", name, other)
			}
		}
	}
	return nil
}

// fold returns the same character for all cases of one, of which some have
// three.
func fold(r rune) rune {
	first := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		first = min(first, next)
	}
	return first
}

// Glob returns what matches the names that fnmatch would: a * also matches
// slashes.
func Glob(pattern string) *regexp.Regexp {
	var expression strings.Builder
	expression.WriteString(`(?s)\A`)
	for rest := pattern; rest != ""; {
		var part string
		part, rest = next(rest)
		expression.WriteString(part)
	}
	expression.WriteString(`\z`)
	compiled, err := regexp.Compile(expression.String())
	if err != nil { // such as a set with z-a: it matches nothing
		return regexp.MustCompile(`[^\s\S]`)
	}
	return compiled
}

// next returns the expression for the first part of a pattern, and the rest.
func next(pattern string) (expression, rest string) {
	switch pattern[0] {
	case '*':
		return ".*", pattern[1:]
	case '?':
		return ".", pattern[1:]
	case '[':
		set, negated := strings.CutPrefix(pattern[1:], "!")
		end := strings.IndexByte(set, ']')
		if end <= 0 {
			break
		}
		open := "["
		if negated {
			open = "[^"
		}
		inside := strings.NewReplacer(`\`, `\\`, "[", `\[`, "^", `\^`).Replace(set[:end])
		return open + inside + "]", set[end+1:]
	}
	end := strings.IndexAny(pattern[1:], "*?[") + 1
	if end == 0 {
		end = len(pattern)
	}
	return regexp.QuoteMeta(pattern[:end]), pattern[end:]
}
