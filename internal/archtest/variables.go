package archtest

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// immutable are the calls whose result may be kept in a package variable: what
// they return is never changed.
var immutable = []string{
	"errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer",
	"sync.OnceValue", "sync.OnceValues", "sync.OnceFunc", "template.Must",
	"netip.MustParsePrefix", "netip.MustParseAddr",
	"windows.NewLazySystemDLL", "windows.NewLazyDLL",
}

// variables finds package variables that can change. A table that nothing in
// the package writes to, and that others cannot reach, is as good as a
// constant.
func variables(t *Tree) []Finding {
	var found []Finding
	dirs := t.byDir()
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		written := writes(t, dirs[dir])
		for _, f := range dirs[dir] {
			if f.test {
				continue
			}
			for _, decl := range f.ast.Decls {
				found = append(found, mutable(t, decl, written)...)
			}
		}
	}
	return found
}

func mutable(t *Tree, declaration ast.Decl, written map[string]token.Pos) []Finding {
	decl, ok := declaration.(*ast.GenDecl)
	if !ok || decl.Tok != token.VAR {
		return nil
	}
	var found []Finding
	for _, spec := range decl.Specs {
		spec, ok := spec.(*ast.ValueSpec)
		if !ok || embedded(decl.Doc) || embedded(spec.Doc) {
			continue
		}
		for i, name := range spec.Names {
			if name.Name == "_" {
				continue
			}
			var value ast.Expr
			if i < len(spec.Values) {
				value = spec.Values[i]
			}
			at, changed := written[name.Name]
			switch {
			case changed:
				found = append(found, t.at(at, "package variable %s is changed here; keep state in a struct", name.Name))
			case constructed(value), sentinel(value), literalTable(value) && !name.IsExported():
			default:
				found = append(found, t.at(name.Pos(), "package variable %s could change; make it a constant, a field or a function", name.Name))
			}
		}
	}
	return found
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// constructed tells whether the value is the result of one of the immutable
// calls, or a procedure of a Windows library.
func constructed(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	fn := call.Fun
	switch generic := fn.(type) {
	case *ast.IndexExpr:
		fn = generic.X
	case *ast.IndexListExpr:
		fn = generic.X
	}
	name := selector(fn)
	return slices.Contains(immutable, name) || strings.HasSuffix(name, ".NewProc")
}

// sentinel tells whether the value is another package's error, under a name of
// one's own.
func sentinel(value ast.Expr) bool {
	_, name, _ := strings.Cut(selector(value), ".")
	return strings.HasPrefix(name, "Err")
}

// literalTable tells whether the value is a literal without a lock in it, or
// a string as bytes.
func literalTable(value ast.Expr) bool {
	if call, ok := value.(*ast.CallExpr); ok && len(call.Args) == 1 {
		_, conversion := call.Fun.(*ast.ArrayType)
		return conversion && literal(call.Args[0]) != ""
	}
	composite, ok := value.(*ast.CompositeLit)
	if !ok {
		return false
	}
	kind := selector(composite.Type)
	return !strings.HasPrefix(kind, "sync.") && !strings.HasPrefix(kind, "atomic.")
}

// writes returns the package variables that some function of the package
// assigns to, changes an element of, or takes the address of.
func writes(t *Tree, files []*file) map[string]token.Pos {
	uses := resolve(t, files)
	written := map[string]token.Pos{}
	note := func(e ast.Expr) {
		id := root(e)
		if id == nil {
			return
		}
		if v, ok := uses[id].(*types.Var); ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
			written[id.Name] = id.Pos()
		}
	}
	for _, f := range files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					note(left)
				}
			case *ast.IncDecStmt:
				note(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					note(n.X)
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
					note(n.Args[0])
				}
			}
			return true
		})
	}
	return written
}

// root returns x of an expression such as x, x.f, x[i] or *x.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// resolve tells what each name in the package stands for. Files of all
// platforms are taken together and imports are not followed, so there are
// type errors; names of the package and of functions resolve all the same.
func resolve(t *Tree, files []*file) map[*ast.Ident]types.Object {
	uses := map[*ast.Ident]types.Object{}
	packages := map[string][]*ast.File{}
	for _, f := range files {
		packages[f.ast.Name.Name] = append(packages[f.ast.Name.Name], f.ast)
	}
	for name, parsed := range packages {
		config := types.Config{
			Importer: noImports{},
			Error:    func(error) {},
		}
		// The error is the first of those that are ignored above.
		_, _ = config.Check(name, t.fset, parsed, &types.Info{Uses: uses})
	}
	return uses
}

var errNoImports = errors.New("imports are not followed")

// noImports is an importer that finds nothing.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errNoImports }
