package taskclusterproxy

import "encoding/json"

// secretsIn returns every string in the value of a secret, as the secrets
// service answers it.
func secretsIn(body []byte) []string {
	var answer struct {
		Secret any `json:"secret"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil
	}
	return leaves(nil, answer.Secret)
}

func leaves(found []string, value any) []string {
	switch value := value.(type) {
	case string:
		if value != "" {
			found = append(found, value)
		}
	case []any:
		for _, below := range value {
			found = leaves(found, below)
		}
	case map[string]any:
		for _, below := range value {
			found = leaves(found, below)
		}
	}
	return found
}
