//go:build !windows

package platform

// variableKey is equal for two names of the same variable.
func variableKey(name string) string { return name }
