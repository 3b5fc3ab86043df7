package hawk

import (
	"encoding/json"
	"slices"
	"strings"
)

// Satisfies tells whether the scope is in the set: as it is, or covered by a
// pattern that ends in *.
func Satisfies(set []string, scope string) bool {
	for _, s := range set {
		if s == scope {
			return true
		}
		if prefix, isPattern := strings.CutSuffix(s, "*"); isPattern && strings.HasPrefix(scope, prefix) {
			return true
		}
	}
	return false
}

// Expression says which scopes a call needs. Exactly one field is set; the
// zero Expression needs nothing.
type Expression struct {
	Scope string
	AllOf []Expression
	AnyOf []Expression
}

// Scope returns an expression that needs exactly this scope.
func Scope(parts ...string) Expression { return Expression{Scope: strings.Join(parts, "")} }

// AllOf returns an expression that needs every one of the given ones.
func AllOf(all ...Expression) Expression { return Expression{AllOf: all} }

// AnyOf returns an expression that needs one of the given ones.
func AnyOf(alternatives ...Expression) Expression { return Expression{AnyOf: alternatives} }

// Each returns one expression per name: prefix followed by the name.
func Each(prefix string, names []string) []Expression {
	each := make([]Expression, 0, len(names))
	for _, name := range names {
		each = append(each, Scope(prefix, name))
	}
	return each
}

// SatisfiedBy tells whether a caller with these scopes may make the call.
func (e Expression) SatisfiedBy(set []string) bool {
	switch {
	case e.Scope != "":
		return Satisfies(set, e.Scope)
	case e.AnyOf != nil:
		return slices.ContainsFunc(e.AnyOf, func(a Expression) bool { return a.SatisfiedBy(set) })
	}
	return !slices.ContainsFunc(e.AllOf, func(a Expression) bool { return !a.SatisfiedBy(set) })
}

// Missing returns what of the expression the set does not satisfy.
func (e Expression) Missing(set []string) Expression {
	if e.SatisfiedBy(set) {
		return Expression{}
	}
	if e.AllOf == nil {
		return e
	}
	var missing []Expression
	for _, part := range e.AllOf {
		if !part.SatisfiedBy(set) {
			missing = append(missing, part.Missing(set))
		}
	}
	if len(missing) == 1 {
		return missing[0]
	}
	return AllOf(missing...)
}

// MarshalJSON writes the expression as Taskcluster documents it: a string, or
// an object with AllOf or AnyOf.
func (e Expression) MarshalJSON() ([]byte, error) {
	switch {
	case e.Scope != "":
		return json.Marshal(e.Scope)
	case e.AnyOf != nil:
		return json.Marshal(map[string][]Expression{"AnyOf": e.AnyOf})
	}
	return json.Marshal(map[string][]Expression{"AllOf": e.AllOf})
}

// Normalize returns the set sorted, without what other members already cover.
func Normalize(set []string) []string {
	sorted := slices.Clone(set)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	kept := make([]string, 0, len(sorted))
	for i, s := range sorted {
		others := slices.Concat(sorted[:i], sorted[i+1:])
		if !Satisfies(others, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// ValidScope tells whether s may be used as a scope: printable ASCII that
// does not end in two asterisks.
func ValidScope(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return !strings.HasSuffix(s, "**")
}
