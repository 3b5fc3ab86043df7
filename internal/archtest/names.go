package archtest

import (
	"go/ast"
	"go/build/constraint"
	"path"
	"slices"
	"strings"
)

// empty are names that say nothing about what is inside.
var empty = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "types", "manager"}

// names finds packages, folders and files whose name says nothing.
func names(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		stem := strings.TrimSuffix(f.path, ".go")
		words := strings.FieldsFunc(stem, func(r rune) bool { return r == '/' || r == '_' })
		for _, word := range append(words, f.ast.Name.Name) {
			if slices.Contains(empty, word) {
				found = append(found, Finding{Path: f.path, Message: "the name " + word + " says nothing; name what is inside"})
				break
			}
		}
	}
	return found
}

// platforms are the operating systems there are files for.
var platforms = []string{"linux", "darwin", "freebsd", "windows"}

// builtFor tells whether a file is part of its package on an operating system,
// on at least one architecture.
func builtFor(f *file, goos string) bool {
	stem := strings.TrimSuffix(path.Base(f.path), ".go")
	for _, word := range strings.Split(stem, "_")[1:] {
		if slices.Contains(platforms, word) && word != goos {
			return false
		}
	}
	expr, _ := buildLine(f)
	if expr == nil {
		return true
	}
	return slices.ContainsFunc([]string{"amd64", "arm64", "386", "arm"}, func(arch string) bool {
		return expr.Eval(func(tag string) bool {
			return tag == goos || tag == arch || tag == "unix" && goos != "windows"
		})
	})
}

// tags are the build tags there are: platforms, and what the go command sets.
// An engine is a value, never a tag.
var tags = []string{
	"linux", "darwin", "freebsd", "windows", "unix",
	"386", "amd64", "arm", "arm64", "cgo", "race", "ignore",
}

// constraints finds platform files without a constraint and unknown tags.
func constraints(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		expr, line := buildLine(f)
		stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
		if expr == nil && (strings.HasSuffix(stem, "_unix") || strings.HasSuffix(stem, "_other")) {
			found = append(found, Finding{Path: f.path, Message: "the go command does not know this suffix: begin the file with its //go:build line"})
		}
		if expr == nil {
			continue
		}
		expr.Eval(func(tag string) bool {
			if !slices.Contains(tags, tag) {
				f := t.at(line.Pos(), "build tag %s is no platform; choose at run time by configuration", tag)
				if !slices.Contains(found, f) {
					found = append(found, f)
				}
			}
			return false
		})
	}
	return found
}

// buildLine returns the build constraint of a file, if it has one.
func buildLine(f *file) (constraint.Expr, *ast.Comment) {
	for _, group := range f.ast.Comments {
		if group.Pos() > f.ast.Package {
			break
		}
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			if expr, err := constraint.Parse(c.Text); err == nil {
				return expr, c
			}
		}
	}
	return nil, nil
}
