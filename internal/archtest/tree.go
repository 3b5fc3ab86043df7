package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

const module = "github.com/taskcluster/generic-worker"

// Finding is one place where the tree is not as it should be.
type Finding struct {
	Path    string
	Line    int // 0 if it is about the whole file or folder
	Message string
	Warning bool
}

// String returns the finding as path:line: message.
func (f Finding) String() string {
	where := f.Path
	if f.Line > 0 {
		where = fmt.Sprintf("%s:%d", f.Path, f.Line)
	}
	if f.Warning {
		return fmt.Sprintf("%s: warning: %s", where, f.Message)
	}
	return fmt.Sprintf("%s: %s", where, f.Message)
}

// Tree is the project's files.
type Tree struct {
	fset  *token.FileSet
	texts map[string][]byte // every file by its slash-separated path
	files []*file           // Go files outside testdata, by path
}

// file is a parsed Go file.
type file struct {
	path  string
	test  bool
	lines int
	ast   *ast.File
}

// dir returns the folder of the file relative to the root.
func (f *file) dir() string { return path.Dir(f.path) }

// NewTree parses the Go files among the texts, which are given by their
// slash-separated path relative to the root.
func NewTree(texts map[string][]byte) (*Tree, error) {
	t := &Tree{fset: token.NewFileSet(), texts: texts}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if !strings.HasSuffix(name, ".go") || inTestdata(name) {
			continue
		}
		parsed, err := parser.ParseFile(t.fset, name, texts[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("cannot parse %s: %w", name, err)
		}
		t.files = append(t.files, &file{
			path:  name,
			test:  strings.HasSuffix(name, "_test.go"),
			lines: strings.Count(string(texts[name]), "\n"),
			ast:   parsed,
		})
	}
	return t, nil
}

func inTestdata(name string) bool {
	return slices.Contains(strings.Split(name, "/"), "testdata")
}

// Check applies every rule and returns the findings by path and line.
func (t *Tree) Check() []Finding {
	var all []Finding
	for _, rule := range []func(*Tree) []Finding{
		imports, names, sizes, constraints, documentation,
		variables, calls, contexts, texts,
	} {
		all = append(all, rule(t)...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return all
}

// at makes a finding about a place in the source.
func (t *Tree) at(pos token.Pos, format string, args ...any) Finding {
	p := t.fset.Position(pos)
	return Finding{Path: p.Filename, Line: p.Line, Message: fmt.Sprintf(format, args...)}
}

// warn turns a finding into a warning.
func warn(f Finding) Finding {
	f.Warning = true
	return f
}

// byDir returns the files of each folder.
func (t *Tree) byDir() map[string][]*file {
	dirs := map[string][]*file{}
	for _, f := range t.files {
		dirs[f.dir()] = append(dirs[f.dir()], f)
	}
	return dirs
}

// isContract tells whether a folder holds a test contract: code for tests that
// is not in test files.
func isContract(dir string) bool {
	switch path.Base(dir) {
	case "queuetest", "enginetest", "chaintest", "pagetest", "tasktest", "tooltest":
		return true
	}
	return false
}

// selector returns "package.Name" of an expression such as errors.New, and ""
// for any other expression.
func selector(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + s.Sel.Name
}
