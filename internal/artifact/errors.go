package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// Errors of Publisher.Publish, for errors.Is. A refusal by the queue itself
// comes back as the *queue.Error it is.
var (
	// ErrChanged tells that a file was written to, cut or grew while it was
	// read. Nothing complete was stored.
	ErrChanged = errors.New("file changed while it was being uploaded; end every process that writes to it before the task ends")
	// ErrSpool tells that the worker has no room for an encoded copy. Nothing was announced.
	ErrSpool = errors.New("no room for the encoded copy on the worker")
	// ErrContentType tells that a content type cannot be sent as a header.
	ErrContentType = errors.New("content type must be one line of printable ASCII of at most 255 characters")
)

// Classes of the queue's refusals, for errors.Is: those of package queue, which
// features do not know.
var (
	ErrConflict     = queue.ErrConflict     // the name belongs to another artifact, or the run is over
	ErrMalformed    = queue.ErrMalformed    // the name or a property is not allowed
	ErrUnauthorized = queue.ErrUnauthorized // the task may not publish it
	ErrUnavailable  = queue.ErrUnavailable  // the queue did not answer
)

// Reason is the queue's word for why an artifact has no content.
type Reason string

// Reasons a worker gives.
const (
	Missing    Reason = "file-missing-on-worker"
	Invalid    Reason = "invalid-resource-on-worker"
	Unreadable Reason = "file-not-readable-on-worker"
	TooLarge   Reason = "too-large-file-on-worker"
)

// FileError tells why a file cannot be published.
type FileError struct {
	Path   string
	Reason Reason
	Err    error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("cannot publish %s: %v", Printable(e.Path), e.Err)
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Is tells that a file is Missing in the word of package fs, too.
func (e *FileError) Is(target error) bool { return target == fs.ErrNotExist && e.Reason == Missing }

// Printable returns a name as a line of text can show it: as it is, or in quotes
// and with escapes if it has characters that are not printable.
func Printable(name string) string {
	odd := func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }
	if strings.ContainsFunc(name, odd) {
		return strconv.Quote(name)
	}
	return name
}

// StorageError is a failure of the service that stores an artifact's content,
// after all retries. It never tells the URL, which is a credential.
type StorageError struct {
	Name    string // the artifact's
	Status  int    // HTTP status, or 0 without an answer
	Code    string // the service's own code, such as "AccessDenied", or ""
	Message string // the service's sentence, at most 256 bytes, or ""
	Err     error  // what went wrong when there is no answer
}

func (e *StorageError) Error() string {
	text := fmt.Sprintf("cannot store artifact %s", e.Name)
	if e.Status != 0 {
		text += fmt.Sprintf(": storage answered %d", e.Status)
	}
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause, if there is one.
func (e *StorageError) Unwrap() error { return e.Err }
