package archtest

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// documentation finds packages and exported names without a comment.
func documentation(t *Tree) []Finding {
	var found []Finding
	dirs := t.byDir()
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		var code []*file
		for _, f := range dirs[dir] {
			if !f.test {
				code = append(code, f)
			}
		}
		if len(code) == 0 {
			continue
		}
		found = append(found, packageComment(t, dir, code)...)
		for _, f := range code {
			if f.ast.Name.Name != "main" {
				found = append(found, undocumented(t, f)...)
			}
		}
	}
	return found
}

func packageComment(t *Tree, dir string, files []*file) []Finding {
	const longest = 10 // lines; beyond that it gets its own file
	var found []Finding
	documented := false
	for _, f := range files {
		doc := f.ast.Doc
		if doc == nil {
			continue
		}
		start, kind := "Package "+f.ast.Name.Name+" ", "package"
		if f.ast.Name.Name == "main" {
			start, kind = "Command "+path.Base(dir)+" ", "command"
		}
		if !strings.HasPrefix(doc.Text(), start) {
			found = append(found, t.at(doc.Pos(), "the %s comment must begin with %q", kind, start))
		}
		documented = true
		if strings.Count(doc.Text(), "\n") > longest && path.Base(f.path) != "doc.go" {
			found = append(found, t.at(doc.Pos(), "a package comment of more than %d lines belongs into doc.go", longest))
		}
	}
	if !documented {
		found = append(found, Finding{Path: dir, Message: "package without a comment: say what it does and what it leaves to whom"})
	}
	return found
}

// wellKnown are methods whose meaning an interface of the standard library or
// of the language gives.
var wellKnown = []string{
	"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "LogValue",
	"Len", "Less", "Swap", "Read", "Write", "Close", "Seek", "ServeHTTP",
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "UnmarshalYAML",
}

func undocumented(t *Tree, f *file) []Finding {
	var found []Finding
	missing := func(name *ast.Ident) {
		found = append(found, t.at(name.Pos(), "exported %s has no comment: say what it does, in which units, with which errors", name.Name))
	}
	for _, decl := range f.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && decl.Doc == nil && exportedReceiver(decl) &&
				(decl.Recv == nil || !slices.Contains(wellKnown, decl.Name.Name)) {
				missing(decl.Name)
			}
		case *ast.GenDecl:
			undocumentedSpecs(decl, missing)
		}
	}
	return found
}

func undocumentedSpecs(decl *ast.GenDecl, missing func(*ast.Ident)) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil && (decl.Doc == nil || decl.Lparen != token.NoPos) {
				missing(spec.Name)
			}
		case *ast.ValueSpec:
			commented := decl.Doc != nil || spec.Doc != nil || spec.Comment != nil
			i := slices.IndexFunc(spec.Names, (*ast.Ident).IsExported)
			if i >= 0 && !commented {
				missing(spec.Names[i])
			}
		}
	}
}

// exportedReceiver tells whether fn is a function or a method of an exported
// type.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return true
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
