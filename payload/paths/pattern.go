package paths

import (
	"errors"
	"fmt"
	pathpkg "path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxAlternatives is how many patterns the braces of one may stand for: each
// file is compared with all of them.
const maxAlternatives = 64

const maxPattern = 4096 // bytes

// Pattern is the path of a glob, taken apart.
type Pattern struct {
	// Dir are the directories before the first special character, with slashes,
	// "." if there are none. It may be absolute.
	Dir  string
	rest []string // what follows: patterns without braces, one of which must match
}

// Match tells whether the file at a path relative to Dir, with slashes, is
// meant. It takes time in proportion to the lengths of both.
func (p Pattern) Match(name string) bool {
	return slices.ContainsFunc(p.rest, func(one string) bool { return doublestar.MatchUnvalidated(one, name) })
}

// Depth is how many directories below Dir a file that matches can be in, -1 for
// any number.
func (p Pattern) Depth() int {
	depth := 0
	for _, one := range p.rest {
		if strings.Contains(one, "**") {
			return -1
		}
		depth = max(depth, strings.Count(one, "/"))
	}
	return depth
}

// ParsePattern takes a pattern apart, or returns what is wrong with it.
func ParsePattern(pattern string) (p Pattern, fault *Fault) {
	const ordinary = "write for example build/**/*.log"
	if len(pattern) > maxPattern {
		return p, &Fault{What: fmt.Sprintf("is a pattern of more than %d bytes", maxPattern), Remedy: "write several entries"}
	}
	dir := Fixed(pattern)
	rest := filepath.ToSlash(pattern)[len(dir):]
	p.Dir = pathpkg.Clean(dir)
	if !doublestar.ValidatePattern(rest) {
		return p, &Fault{What: `has a [, { or \ that does not end`, Remedy: `close it, or put \ before a character that is to stand for itself`}
	}
	if strings.HasSuffix(rest, "/") || rest == "" {
		return p, &Fault{What: "ends in a slash, and directories are not matched", Remedy: "write ** behind it for all files below"}
	}
	alternatives, err := expand(rest, nil)
	if err != nil {
		return p, &Fault{What: fmt.Sprintf("stands for more than %d patterns", maxAlternatives), Remedy: "write fewer {a,b}, or several entries"}
	}
	for _, one := range alternatives {
		if slices.Contains(strings.Split(one, "/"), "..") {
			return p, &Fault{What: "has .. behind a special character", Remedy: ordinary}
		}
		p.rest = append(p.rest, pathpkg.Clean(one))
	}
	return p, nil
}

var errAlternatives = errors.New("too many alternatives")

// expand adds to a list the patterns without braces that a valid pattern stands for.
func expand(pattern string, list []string) ([]string, error) {
	begin, commas, end := braces(pattern)
	if begin < 0 {
		if len(list) == maxAlternatives {
			return nil, errAlternatives
		}
		return append(list, pattern), nil
	}
	from := begin + 1
	for _, to := range append(commas, end) {
		var err error
		if list, err = expand(pattern[:begin]+pattern[from:to]+pattern[end+1:], list); err != nil {
			return nil, err
		}
		from = to + 1
	}
	return list, nil
}

// braces finds the first group of alternatives: its braces, and the commas
// between them that are in no group inside. Begin is -1 if there is none.
func braces(pattern string) (begin int, commas []int, end int) {
	begin = -1
	depth, class := 0, false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '{':
			if depth == 0 {
				begin = i
			}
			depth++
		case c == ',' && depth == 1:
			commas = append(commas, i)
		case c == '}' && depth > 0:
			if depth--; depth == 0 {
				return begin, commas, i
			}
		}
	}
	return -1, nil, 0
}

// Fixed returns the directories of a pattern that have no special character.
func Fixed(pattern string) string {
	pattern = filepath.ToSlash(pattern)
	if i := strings.IndexAny(pattern, `*?[{\`); i >= 0 {
		pattern = pattern[:i]
	}
	return pattern[:strings.LastIndex(pattern, "/")+1]
}
