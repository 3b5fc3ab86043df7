package document

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// explainer turns the errors of a validation into problems.
type explainer struct {
	document *Document
	schema   *Schema
	value    any
	problems Problems
}

// explain goes down to the errors that say something about the document.
func (e *explainer) explain(err *jsonschema.ValidationError) {
	switch k := err.ErrorKind.(type) {
	case *kind.OneOf:
		if k.Subschemas != nil {
			e.add(err.InstanceLocation, "fits two of the forms it can have", "keep the keys of one form only")
			return
		}
		e.branch(err, e.part(err).OneOf)
	case *kind.AnyOf:
		e.branch(err, e.part(err).AnyOf)
	case *kind.Required:
		e.missing(err, k.Missing)
	case *kind.AdditionalProperties:
		e.unknown(err, k.Properties)
	default:
		if len(err.Causes) == 0 {
			e.leaf(err)
		}
		for _, cause := range err.Causes {
			e.explain(cause)
		}
	}
}

func (e *explainer) add(path []string, what, remedy string) {
	e.problems = append(e.problems, e.document.Problem(Pointer(path...), what, remedy))
}

// part returns the part of the schema that an error is about, never nil.
func (e *explainer) part(err *jsonschema.ValidationError) *jsonschema.Schema {
	if part := e.schema.at[err.SchemaURL]; part != nil {
		return part
	}
	return &jsonschema.Schema{}
}

// instance returns the value an error is about.
func (e *explainer) instance(path []string) any {
	value := e.value
	for _, token := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		}
	}
	return value
}

// hidden tells whether the value at path must not be shown.
func (e *explainer) hidden(path []string) bool {
	return slices.ContainsFunc(path, func(token string) bool { return e.schema.secret[token] })
}

// branch explains the one branch that the author most probably meant.
func (e *explainer) branch(err *jsonschema.ValidationError, branches []*jsonschema.Schema) {
	value := e.instance(err.InstanceLocation)
	best, most := -1, 0
	for i, branch := range branches {
		if likeness := likeness(resolve(branch), value); likeness > most {
			best, most = i, likeness
		}
	}
	if best >= 0 && len(err.Causes) == len(branches) {
		e.explain(err.Causes[best])
		return
	}
	titles := make([]string, 0, len(branches))
	for _, branch := range branches {
		if title := resolve(branch).Title; title != "" {
			titles = append(titles, title)
		}
	}
	what := "must be one of: " + strings.Join(titles, "; ")
	if _, ok := value.(map[string]any); !ok {
		what += not(e.show(err.InstanceLocation))
	}
	e.add(err.InstanceLocation, what, e.example(err))
}

func resolve(part *jsonschema.Schema) *jsonschema.Schema {
	for part.Ref != nil && part.Title == "" && part.Properties == nil {
		part = part.Ref
	}
	return part
}

// likeness is positive if a value looks like an attempt at this branch.
func likeness(branch *jsonschema.Schema, value any) int {
	fields, ok := value.(map[string]any)
	if !ok {
		if branch.Types != nil && slices.Contains(branch.Types.ToStrings(), typeOf(value)) {
			return 1
		}
		return 0
	}
	score, unknown := 0, 0
	for name, field := range fields {
		switch {
		case other(branch.Properties[name], field):
			return 0
		case slices.Contains(branch.Required, name):
			score += 3
		case branch.Properties[name] != nil:
			score++
		default:
			unknown++
		}
	}
	return max(score-unknown, min(score, 1))
}

// other tells whether a value is not the only one that a property can have, such
// as the name of the form that a branch is about.
func other(property *jsonschema.Schema, value any) bool {
	return property != nil && property.Enum != nil && len(property.Enum.Values) == 1 && property.Enum.Values[0] != value
}

func (e *explainer) missing(err *jsonschema.ValidationError, names []string) {
	fields, _ := e.instance(err.InstanceLocation).(map[string]any)
	part := e.part(err)
	meant := suggestions(slices.Collect(maps.Keys(fields)), part)
	for _, name := range names {
		if slices.Contains(slices.Collect(maps.Values(meant)), name) {
			continue // the misspelt key is reported as such
		}
		remedy := "add it"
		if property := part.Properties[name]; property != nil {
			if example := exampleOf(resolve(property)); example != "" {
				remedy = fmt.Sprintf("add for example %s: %s", strconv.Quote(name), example)
			}
		}
		e.add(append(slices.Clone(err.InstanceLocation), name), "is missing", remedy)
	}
}

// suggestions returns for unknown keys the known ones that were probably meant.
func suggestions(given []string, part *jsonschema.Schema) map[string]string {
	const most = 50 // nobody reads more; comparing names takes time
	known := knownKeys(part)
	meant := make(map[string]string)
	compared := 0
	for _, name := range slices.Sorted(slices.Values(given)) {
		if part.Properties[name] != nil {
			continue
		}
		if compared++; compared > most {
			break
		}
		if nearest := Nearest(name, known); nearest != "" {
			meant[name] = nearest
		}
	}
	return meant
}

// knownKeys returns the keys that are not there for compatibility only.
func knownKeys(part *jsonschema.Schema) []string {
	var known []string
	for name, property := range part.Properties {
		if !property.Deprecated {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	return known
}

func (e *explainer) unknown(err *jsonschema.ValidationError, names []string) {
	const few = 6 // keys that a line can name
	meant := suggestions(names, e.part(err))
	ordinary := "remove it"
	if known := knownKeys(e.part(err)); len(known) > 0 && len(known) <= few {
		ordinary = "the keys are " + strings.Join(known, ", ")
	}
	for _, name := range names {
		remedy := ordinary
		if nearest := meant[name]; nearest != "" {
			remedy = fmt.Sprintf("did you mean %s?", nearest)
		}
		e.add(append(slices.Clone(err.InstanceLocation), name), "is not a known key", remedy)
	}
}

// leaf explains an error about the value itself.
func (e *explainer) leaf(err *jsonschema.ValidationError) {
	at, remedy := err.InstanceLocation, ""
	what := "does not match the schema"
	switch k := err.ErrorKind.(type) {
	case *kind.Type:
		what = "must be " + typeNames(k.Want) + not(e.show(at))
		remedy = e.convert(err, k.Want)
	case *kind.Enum:
		what = "must be one of " + literals(k.Want) + not(e.show(at))
		remedy = e.nearest(at, k.Want)
	case *kind.Const:
		what = "must be " + literals([]any{k.Want}) + not(e.show(at))
	case *kind.Pattern:
		what = "must match " + k.Want
		if comment := e.part(err).Comment; comment != "" {
			what = "must be " + comment
		}
		what += not(e.show(at))
		remedy = e.example(err)
	case *kind.Format:
		what = "must be " + formatName(k.Want) + not(e.show(at))
		remedy = e.example(err)
	default:
		what, remedy = e.bounds(err)
	}
	e.add(at, what, remedy)
}

// bounds explains errors about sizes and amounts.
func (e *explainer) bounds(err *jsonschema.ValidationError) (what, remedy string) {
	switch k := err.ErrorKind.(type) {
	case *kind.Minimum:
		return "must be at least " + decimal(k.Want) + not(e.show(err.InstanceLocation)), ""
	case *kind.Maximum:
		return "must be at most " + decimal(k.Want) + not(e.show(err.InstanceLocation)), ""
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty", e.example(err)
		}
		return fmt.Sprintf("must have at least %d characters, not %d", k.Want, k.Got), ""
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, not %d", k.Want, k.Got), ""
	case *kind.MinItems:
		if k.Want == 1 {
			return "must not be empty", e.example(err)
		}
		return fmt.Sprintf("must have at least %d items, not %d", k.Want, k.Got), ""
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items, not %d", k.Want, k.Got), ""
	case *kind.UniqueItems:
		return fmt.Sprintf("has the same item at %d and at %d", k.Duplicates[0], k.Duplicates[1]), "remove one of the two"
	case *kind.DependentRequired:
		return fmt.Sprintf("has %s, so it must also have %s", k.Prop, strings.Join(k.Missing, " and ")), ""
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d keys, not %d", k.Want, k.Got), e.example(err)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d keys, not %d", k.Want, k.Got), ""
	case *kind.FalseSchema:
		return "cannot be used here", "remove it"
	}
	return "does not match the schema", ""
}

// decimal writes a bound of a schema; they are integers or short fractions.
func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return strings.TrimRight(r.FloatString(6), "0")
}

// nearest suggests one of the allowed values.
func (e *explainer) nearest(path []string, allowed []any) string {
	text, ok := e.instance(path).(string)
	if !ok {
		return ""
	}
	var known []string
	for _, value := range allowed {
		if s, ok := value.(string); ok {
			known = append(known, s)
		}
	}
	if nearest := Nearest(text, known); nearest != "" {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return ""
}

// convert suggests the same value as another type.
func (e *explainer) convert(err *jsonschema.ValidationError, want []string) string {
	value := e.instance(err.InstanceLocation)
	hidden := e.hidden(err.InstanceLocation)
	if part := e.part(err); part.Enum != nil || part.Pattern != nil || part.Format != nil {
		return e.example(err) // the same value as a string would not do either
	}
	for _, target := range want {
		switch written := converted(value, target); {
		case written == "":
		case hidden && target == "string":
			return "put it in quotes"
		case hidden:
			return "remove the quotes"
		default:
			return "write " + written
		}
	}
	return e.example(err)
}

func converted(value any, target string) string {
	switch v := value.(type) {
	case json.Number:
		switch {
		case target == "string":
			return Quote(v.String())
		case target == "boolean" && (v == "0" || v == "1"):
			return strconv.FormatBool(v == "1")
		}
	case bool:
		if target == "string" {
			return Quote(strconv.FormatBool(v))
		}
	case string:
		switch target {
		case "boolean":
			switch strings.ToLower(v) {
			case "true", "yes", "on", "1":
				return "true"
			case "false", "no", "off", "0":
				return "false"
			}
		case "integer":
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				return strconv.FormatInt(n, 10)
			}
		case "number":
			if isNumber(v) && len(v) <= maxQuoted {
				return v
			}
		}
	}
	return ""
}
