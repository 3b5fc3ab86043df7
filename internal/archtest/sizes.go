package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
)

// limit is a size above which there is a warning and one above which there is
// a failure.
type limit struct{ warn, fail int }

const (
	maxPackageLines = 1500 // of files that are no tests, as one platform sees them
	maxParameters   = 4    // then a struct
	maxMethods      = 5    // of an interface
)

var (
	fileLines     = limit{400, 600}
	functionLines = limit{60, 100}
	nesting       = limit{3, 4}
)

func (l limit) check(f Finding, what string, size int) []Finding {
	switch {
	case size > l.fail:
		f.Message = fmt.Sprintf("%s %d; no more than %d, better %d", what, size, l.fail, l.warn)
	case size > l.warn:
		f.Message = fmt.Sprintf("%s %d; better no more than %d", what, size, l.warn)
		f.Warning = true
	default:
		return nil
	}
	return []Finding{f}
}

// sizes finds what has grown too large. Tests are tables: of them only the
// file counts, and only as a warning.
func sizes(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		if f.test {
			found = append(found, limit{fileLines.fail, 1 << 30}.check(Finding{Path: f.path}, "lines of tests:", f.lines)...)
			continue
		}
		found = append(found, fileLines.check(Finding{Path: f.path}, "lines in the file:", f.lines)...)
		found = append(found, declarationSizes(t, f)...)
	}
	dirs := t.byDir()
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if !isContract(dir) {
			found = append(found, packageSize(dir, dirs[dir])...)
		}
	}
	return found
}

// packageSize counts the lines that someone who works on one platform has
// before him; the platform with the most counts.
func packageSize(dir string, files []*file) []Finding {
	most, where := 0, ""
	for _, goos := range platforms {
		lines := 0
		for _, f := range files {
			if !f.test && builtFor(f, goos) {
				lines += f.lines
			}
		}
		if lines > most {
			most, where = lines, goos
		}
	}
	if most <= maxPackageLines {
		return nil
	}
	return []Finding{{Path: dir, Message: fmt.Sprintf("lines in the package for %s: %d; no more than %d", where, most, maxPackageLines)}}
}

func declarationSizes(t *Tree, f *file) []Finding {
	var found []Finding
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			found = append(found, functionSizes(t, n)...)
		case *ast.FuncLit:
			found = append(found, nesting.check(t.at(n.Pos(), ""), "nesting in the function literal:", depth(n.Body)-1)...)
		case *ast.InterfaceType:
			if n.Methods.NumFields() > maxMethods && !isContract(f.dir()) {
				found = append(found, t.at(n.Pos(), "methods of the interface: %d; no more than %d", n.Methods.NumFields(), maxMethods))
			}
		}
		return true
	})
	return found
}

func functionSizes(t *Tree, fn *ast.FuncDecl) []Finding {
	here := t.at(fn.Pos(), "")
	var found []Finding
	if n := fn.Type.Params.NumFields(); n > maxParameters {
		found = append(found, warn(t.at(fn.Pos(), "parameters of %s: %d; better no more than %d, then a struct", fn.Name.Name, n, maxParameters)))
	}
	if fn.Body == nil {
		return found
	}
	lines := t.fset.Position(fn.End()).Line - here.Line + 1
	found = append(found, functionLines.check(here, "lines of "+fn.Name.Name+":", lines)...)
	return append(found, nesting.check(here, "nesting in "+fn.Name.Name+":", depth(fn.Body)-1)...)
}

// depth returns how deep blocks nest in a statement. A case counts as part of
// its switch, an else as part of its if, and a function literal starts anew.
func depth(s ast.Stmt) int {
	deepest := 0
	inner := func(stmts ...ast.Stmt) {
		for _, s := range stmts {
			deepest = max(deepest, depth(s))
		}
	}
	switch s := s.(type) {
	case *ast.BlockStmt:
		inner(s.List...)
		return deepest + 1
	case *ast.IfStmt:
		inner(s.Body)
		if s.Else != nil {
			inner(s.Else)
		}
	case *ast.ForStmt:
		inner(s.Body)
	case *ast.RangeStmt:
		inner(s.Body)
	case *ast.SwitchStmt:
		inner(s.Body)
	case *ast.TypeSwitchStmt:
		inner(s.Body)
	case *ast.SelectStmt:
		inner(s.Body)
	case *ast.CaseClause:
		inner(s.Body...)
	case *ast.CommClause:
		inner(s.Body...)
	case *ast.LabeledStmt:
		inner(s.Stmt)
	}
	return deepest
}
