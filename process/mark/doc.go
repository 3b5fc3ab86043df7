// Package mark marks commands so that what they start can be told from what
// others start (Linux).
package mark
