// Package paths reads what payloads have for paths of mounts and for patterns of
// artifacts. It looks at no file.
package paths
