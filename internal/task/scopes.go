package task

import "strings"

// Satisfies tells whether one of the given scopes covers the wanted one: it is
// the same, or ends in * and the wanted one begins with what is before it.
func Satisfies(given []string, wanted string) bool {
	for _, scope := range given {
		if scope == wanted {
			return true
		}
		if prefix, ok := strings.CutSuffix(scope, "*"); ok && strings.HasPrefix(wanted, prefix) {
			return true
		}
	}
	return false
}
