//go:build !linux

package payload

// loopbacks tells that this system has no loopback devices for tasks.
const loopbacks = false
