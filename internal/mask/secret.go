package mask

import "log/slog"

// Secret is a string that must not be shown: printing it gives Mark, by itself or
// in an exported field; package fmt asks no unexported field how to print it.
// Convert it with string(s) only where it is put to use, an owner-only file is
// written, or a log is told what to mask.
type Secret string

// String returns Mark.
func (Secret) String() string { return Mark }

// GoString returns Mark.
func (Secret) GoString() string { return Mark }

// LogValue returns Mark.
func (Secret) LogValue() slog.Value { return slog.StringValue(Mark) }

// MarshalText returns Mark, so that no encoder writes the value by accident.
func (Secret) MarshalText() ([]byte, error) { return []byte(Mark), nil }
