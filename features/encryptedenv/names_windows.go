package encryptedenv

import "strings"

// variableKey is equal for two names of the same variable.
func variableKey(name string) string { return strings.ToUpper(name) }
