package queue

import (
	"errors"
	"fmt"
)

// Error is an answer by which the queue refused a call.
type Error struct {
	Call    string // the API method, such as "createArtifact"
	Status  int    // HTTP status
	Code    string // the queue's own code, such as "RequestConflict"
	Message string // the queue's sentence, at most 1 KiB

	foreign bool // the answer is not a document as the queue writes it
}

// Classes of refusals, for errors.Is.
var (
	ErrMalformed    = errors.New("request refused as malformed")       // 400, 406, 413
	ErrUnauthorized = errors.New("credentials or scopes not accepted") // 401, 403
	ErrNotFound     = errors.New("not found")                          // 404, 410
	ErrConflict     = errors.New("conflict")                           // 409
	ErrUnavailable  = errors.New("queue not available")                // 429, 5xx, network, after all retries
)

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.Call, e.Status, e.Code, e.Message)
}

// Is tells whether the status belongs to the given class of refusals.
func (e *Error) Is(class error) bool {
	switch e.Status {
	case 400, 406, 413:
		return class == ErrMalformed
	case 401, 403:
		return class == ErrUnauthorized
	case 404, 410:
		return class == ErrNotFound
	case 409:
		return class == ErrConflict
	}
	return class == ErrUnavailable && (e.Status == 429 || e.Status >= 500)
}
