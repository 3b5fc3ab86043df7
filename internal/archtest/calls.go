package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// calls finds functions that must not be there or must not be called: init,
// panic for what can happen, sleeping, leaving the process, and decisions by
// runtime.GOOS.
func calls(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		c := callRules{tree: t, file: f}
		c.walk(f.ast, false)
		found = append(found, c.found...)
	}
	return found
}

type callRules struct {
	tree  *Tree
	file  *file
	found []Finding
}

func (c *callRules) add(pos token.Pos, text string) {
	c.found = append(c.found, c.tree.at(pos, "%s", text))
}

// walk looks at everything below n. In a synctest bubble time is fake and
// sleeping is how it passes.
func (c *callRules) walk(n ast.Node, bubble bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				c.add(n.Pos(), "func init hides what happens at start; call it from main, or use sync.OnceValue")
			}
		case *ast.CallExpr:
			if !bubble && selector(n.Fun) == "synctest.Test" {
				c.walk(n, true)
				return false
			}
			c.call(n, bubble)
		case *ast.BinaryExpr:
			c.decision(n.X, n.Op == token.EQL || n.Op == token.NEQ)
			c.decision(n.Y, n.Op == token.EQL || n.Op == token.NEQ)
		case *ast.SwitchStmt:
			c.decision(n.Tag, true)
		case *ast.CaseClause:
			for _, e := range n.List {
				c.decision(e, true)
			}
		case *ast.IndexExpr:
			c.decision(n.Index, true)
		case *ast.AssignStmt:
			for _, e := range n.Rhs {
				c.decision(e, n.Tok == token.DEFINE)
			}
		}
		return true
	})
}

// decision finds runtime.GOOS where its value decides something.
func (c *callRules) decision(e ast.Expr, decides bool) {
	if !decides || selector(e) != "runtime.GOOS" {
		return
	}
	f := c.tree.at(e.Pos(), "runtime.GOOS is for messages only; put the difference behind one name with a file per platform")
	f.Warning = c.file.test
	c.found = append(c.found, f)
}

func (c *callRules) call(call *ast.CallExpr, bubble bool) {
	if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" && !c.file.test {
		c.panicText(call)
		return
	}
	name := selector(call.Fun)
	switch {
	case name == "time.Sleep" && (bubble || forever(call)):
	case name == "time.Sleep" && c.file.test:
		f := c.tree.at(call.Pos(), "time.Sleep in a test: wait for the condition itself, on a channel and with a deadline, or use testing/synctest; if nothing waits here, say so in a comment")
		f.Warning = c.explained(f.Line)
		c.found = append(c.found, f)
	case name == "time.Sleep":
		f := c.tree.at(call.Pos(), "time.Sleep cannot be interrupted; select on a timer and ctx.Done()")
		c.found = append(c.found, warn(f))
	case name == "os.Exit" || strings.HasPrefix(name, "log.Fatal"):
		if c.file.ast.Name.Name != "main" && !c.file.test {
			c.add(call.Pos(), name+" outside package main: return an error")
		}
	case slices.Contains([]string{"errors.New", "fmt.Errorf", "task.Errorf"}, name):
		c.errorText(call)
	}
}

// explained tells whether there is a comment on a line or right above it.
func (c *callRules) explained(line int) bool {
	return slices.ContainsFunc(c.file.ast.Comments, func(group *ast.CommentGroup) bool {
		end := c.tree.fset.Position(group.End()).Line
		return end == line || end == line-1
	})
}

// forever tells whether a sleep lasts hours: it waits for nothing, but keeps a
// process alive that a test is to end.
func forever(sleep *ast.CallExpr) bool {
	found := false
	for _, arg := range sleep.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok && selector(e) == "time.Hour" {
				found = true
			}
			return true
		})
	}
	return found
}

// panicText accepts only panics that say where the code itself is wrong.
func (c *callRules) panicText(call *ast.CallExpr) {
	if len(call.Args) == 1 && selector(call.Args[0]) == "http.ErrAbortHandler" {
		return // net/http's own way to break off an answer
	}
	want := c.file.ast.Name.Name + ": internal error: "
	if len(call.Args) == 1 && strings.HasPrefix(firstText(call.Args[0]), want) {
		return
	}
	c.add(call.Pos(), "panic only for what cannot happen, with a text that begins with "+strconv.Quote(want)+"; return an error for everything else")
}

// errorText finds error texts that are not "cannot <verb> <object>: reason".
func (c *callRules) errorText(call *ast.CallExpr) {
	for _, arg := range call.Args {
		text := literal(arg)
		switch {
		case strings.Contains(text, "failed to "):
			c.add(arg.Pos(), `error text with "failed to": write "cannot <verb> <object>: reason"`)
		case strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "..."):
			c.add(arg.Pos(), "error text that ends with a dot: others go on after it")
		}
	}
}

// firstText returns the text an expression begins with, as far as it is
// written there: of a literal, a sum, or the format of a call.
func firstText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return firstText(e.X)
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			return firstText(e.Args[0])
		}
	}
	return literal(e)
}

// literal returns the value of a string literal, and "" for anything else.
func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return text
}
