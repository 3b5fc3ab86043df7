package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Error is the archive's own fault: it is corrupt, cut short, hostile, of
// another format or beyond a limit. Getting it again does not help, unless it
// was damaged on its way.
type Error struct {
	Format string // as given to Archive or Decompress
	Offset int64  // how many bytes of the archive had been read when it was noticed
	Entry  string // what it is about, as the archive spells it, or ""
	Err    error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot unpack %s", e.Format)
	if e.Entry != "" {
		fmt.Fprintf(&b, ": entry %q", shorten(e.Entry))
	}
	fmt.Fprintf(&b, ": %v (after %d bytes of it)", e.Err, e.Offset)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// shorten keeps a name from filling a log.
func shorten(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return name[:most] + "..."
}

// refuse makes an error about the entry that is being made.
func refuse(format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...)}
}

// directoryContent refuses what a library would decode, without a limit, only
// to get beyond it.
func directoryContent() error {
	return refuse("it is a directory, and has content; make the archive anew")
}

// fault makes any error of a decoder the archive's fault. The end is none, but
// where more was announced.
func fault(err error) error {
	if err == nil || err == io.EOF { // not one that a decoder wrapped
		return err
	}
	if _, already := errors.AsType[*Error](err); already {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return refuse("it is cut short: %w", io.ErrUnexpectedEOF)
	}
	return &Error{Err: err}
}

// explain says whose fault err is: the context's, the reader's, the disk's, or
// the archive's, whose error it completes.
func explain(ctx context.Context, in *input, format string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed := in.failed(); failed != nil {
		return failed
	}
	found, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	complete := *found
	complete.Format, complete.Offset = format, in.count.Load()
	if is := looksLike(in.begins()); is != "" && !matches(format, is) {
		complete.Err = fmt.Errorf("%w; it looks like %s, so name that format or get another file", complete.Err, is)
	}
	return &complete
}

// looksLike names the format of something by its first bytes, or "".
func looksLike(head []byte) string {
	for _, known := range []struct{ is, begins string }{
		{"gz", "\x1f\x8b"},
		{"zip", "PK\x03\x04"},
		{"zip", "PK\x05\x06"},
		{"zst", "\x28\xb5\x2f\xfd"},
		{"xz", "\xfd7zXZ\x00"},
		{"bz2", "BZh"},
		{"7z", "7z\xbc\xaf\x27\x1c"},
		{"rar", "Rar!\x1a\x07"},
		{"lz", "LZIP"},
		{"lz4", "\x04\x22\x4d\x18"},
		{"sz", "\xff\x06\x00\x00sNaPpY"},
		{"mz", "\xff\x06\x00\x00MinLz"},
		{"a web page", "<!DOCTYPE"},
		{"a web page", "<html"},
		{"XML", "<?xml"},
	} {
		if bytes.HasPrefix(head, []byte(known.begins)) {
			return known.is
		}
	}
	if len(head) >= 262 && string(head[257:262]) == "ustar" {
		return "tar"
	}
	return ""
}

// matches tells whether something that looks like a format can be of the one
// that was named: tar.gz looks like gz.
func matches(named, is string) bool {
	return named == is || strings.TrimPrefix(named, "tar.") == is
}
