//go:build unix

package payload

const commandLines = false
