//go:build !windows

package encryptedenv

// variableKey is equal for two names of the same variable.
func variableKey(name string) string { return name }
