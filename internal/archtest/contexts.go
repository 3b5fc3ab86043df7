package archtest

import "go/ast"

// contexts finds contexts that are kept in a struct or are not the first
// parameter. What implements an interface without that parameter may keep one
// and says so in a comment on the field.
func contexts(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StructType:
				for _, field := range n.Fields.List {
					if selector(field.Type) == "context.Context" && field.Doc == nil && field.Comment == nil {
						found = append(found, t.at(field.Pos(), "a context in a struct: pass it as the first parameter, or say in a comment on the field why that cannot be"))
					}
				}
			case *ast.FuncType:
				for i, field := range n.Params.List {
					if i > 0 && selector(field.Type) == "context.Context" {
						found = append(found, t.at(field.Pos(), "a context is the first parameter"))
					}
				}
			}
			return true
		})
	}
	return found
}
