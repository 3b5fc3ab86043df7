package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/taskcluster/generic-worker/schemas"
)

// key is what the schema says about one setting or about an object of settings.
type key struct {
	Type       types           `json:"type"`
	Properties map[string]*key `json:"properties"`
	Default    json.RawMessage `json:"default"`
	Secret     bool            `json:"writeOnly"`
	Deprecated bool            `json:"deprecated"`
}

// types are the JSON types a value may have.
type types []string

func (t *types) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*t = types{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(t))
}

// readKeys returns the root of all settings.
func readKeys() (*key, error) {
	root := &key{}
	if err := json.Unmarshal(schemas.Config, root); err != nil {
		return nil, fmt.Errorf("cannot read the schema of the configuration: %w", err)
	}
	return root, nil
}

// accepts tells whether a value, and all that is in it, is known and of the
// right type, whatever its worth.
func (k *key) accepts(value any) bool {
	if len(k.Type) > 0 && !slices.ContainsFunc(k.Type, func(name string) bool { return isA(value, name) }) {
		return false
	}
	members, ok := value.(map[string]any)
	if !ok || k.Properties == nil {
		return true
	}
	for name, member := range members {
		if below := k.Properties[name]; below == nil || !below.accepts(member) {
			return false
		}
	}
	return true
}

func isA(value any, name string) bool {
	switch v := value.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		return name == "number" || name == "integer" && !strings.ContainsAny(v.String(), ".eE")
	case map[string]any:
		return name == "object"
	}
	return name == "array"
}

// withDefaults returns given with the defaults of what is not there. It may
// share values with given.
func (k *key) withDefaults(given map[string]any) (map[string]any, error) {
	full := maps.Clone(given)
	if full == nil {
		full = map[string]any{}
	}
	for name, below := range k.Properties {
		value, there := full[name]
		if !there {
			if below.Default == nil {
				continue
			}
			var err error
			if value, err = decode(below.Default); err != nil {
				return nil, fmt.Errorf("cannot read the default of %s: %w", name, err)
			}
		}
		if members, ok := value.(map[string]any); ok && below.Properties != nil {
			filled, err := below.withDefaults(members)
			if err != nil {
				return nil, err
			}
			value = filled
		}
		full[name] = value
	}
	return full, nil
}

// decode reads JSON without losing digits.
func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

// merge puts what over has on top of under: objects are merged, everything
// else is replaced.
func merge(under, over map[string]any) map[string]any {
	merged := maps.Clone(under)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, value := range over {
		below, isObject := merged[name].(map[string]any)
		members, ok := value.(map[string]any)
		if ok && isObject {
			value = merge(below, members)
		}
		merged[name] = value
	}
	return merged
}

// variables returns, by the name of its environment variable, the path of every
// setting and of every object of settings.
func (k *key) variables() map[string][]string {
	found := map[string][]string{}
	k.collectVariables(prefix, nil, found)
	return found
}

func (k *key) collectVariables(front string, path []string, found map[string][]string) {
	for _, name := range slices.Sorted(maps.Keys(k.Properties)) {
		below := k.Properties[name]
		variable := front + snake(name)
		inner := append(slices.Clone(path), name)
		if _, taken := found[variable]; !taken || !below.Deprecated {
			found[variable] = inner
		}
		below.collectVariables(variable+"_", inner, found)
	}
}

// at returns what the schema says about the setting at path.
func (k *key) at(path []string) *key {
	for _, name := range path {
		k = k.Properties[name]
	}
	return k
}

// snake writes a name such as rootURL or d2gConfig as ROOT_URL or D2G_CONFIG:
// a word begins where a capital follows a small letter or comes before one, but
// for the plural of an abbreviation, as in allowGPUs.
func snake(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, letter := range letters {
		if i > 0 && unicode.IsUpper(letter) &&
			(unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]) && string(letters[i+1:]) != "s") {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(letter))
	}
	return b.String()
}
