package artifact

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// Queue is what a Publisher needs of the queue. Both calls may be made
// concurrently and retried with the same arguments.
type Queue interface {
	// CreateArtifact announces an artifact and returns where its data goes.
	CreateArtifact(ctx context.Context, claim queue.Claim, name string, request json.RawMessage) (json.RawMessage, error)
	// FinishArtifact tells that an object upload is complete.
	FinishArtifact(ctx context.Context, claim queue.Claim, name, uploadID string) error
}

// File is something to publish. Content is read from its first byte to its
// last through this one handle, which the caller opened and closes; its offset
// is neither used nor moved.
type File struct {
	Name            string
	ContentType     string // "" is ContentType(Name)
	ContentEncoding string // Gzip or Identity; "" is ContentEncoding(Name)
	Expires         time.Time
	Content         *os.File
	// Encoded is set when Content holds bytes already in ContentEncoding.
	Encoded *Encoded
}

// Content encodings of a File.
const (
	Gzip     = "gzip"
	Identity = "identity"
)

// Encoded tells the length and hash of what an encoded file decodes to.
type Encoded struct {
	Bytes  int64
	SHA256 string // lower-case hex
}

// Storage types of a Record.
const (
	TypeS3        = "s3"
	TypeObject    = "object"
	TypeReference = "reference"
	TypeLink      = "link"
	TypeError     = "error"
)

// Record is one artifact as it was published.
type Record struct {
	Name        string
	StorageType string // one of the Type constants
	Bytes       int64  // of the content, before encoding
	Stored      int64  // of what was sent
	SHA256      string // of the content as it was sent, before encoding; lower-case hex; s3 and object only
	Elapsed     time.Duration
	Attempts    int // how often sending was begun
}
