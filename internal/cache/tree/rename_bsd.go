//go:build unix && !linux

package tree

// renameat replaces nothing.
func renameat(from int, name string, to int, newName string) error {
	return renameChecked(from, name, to, newName)
}
