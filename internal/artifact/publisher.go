package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// maxRounds is how often an artifact is announced again because its storage refused the upload.
const maxRounds = 3

// Publisher publishes the artifacts of one run. Its methods may be called
// concurrently; the fields are set before the first call.
//
// Its memory is bounded by the number of calls at a time, not by the size of
// files: each holds at most 256 KiB of an encoded copy, and at most four
// files are compressed at once.
type Publisher struct {
	Queue Queue
	// Claim is asked before every call, so that credentials are the newest.
	Claim func() queue.Claim
	// HTTP sends content to the storage; nil is queue.NewHTTPClient(). Its
	// redirect policy is not used: no upload follows a redirect.
	HTTP *http.Client
	// Object asks for object storage instead of s3. RootURL is then the
	// deployment's, under which the object service is found.
	Object  bool
	RootURL string
	// SpoolDir holds encoded copies larger than 256 KiB. It belongs to the
	// worker: no task may read it. "" is the system's directory for temporary files.
	SpoolDir string
	// Lengths has the queue told how long contents are, unless it refuses that;
	// nil tells no queue.
	Lengths *Lengths
	Log     *slog.Logger // the operator's; nil logs nothing

	once    sync.Once
	shared  *shared
	timing  timing
	mu      sync.Mutex
	records map[string]Record
}

// shared is what all calls of one Publisher use together.
type shared struct {
	encoders *encoders
	buffers  sync.Pool
	client   *http.Client
}

// timing can be shortened by tests; zero values are the constants.
type timing struct{ pause, stall time.Duration }

// Publish announces a file as an artifact and uploads its content. It returns
// when the storage has confirmed every byte. Errors are *queue.Error for what
// the queue refused, *StorageError, *FileError, ErrChanged, ErrSpool or
// ErrContentType; with any of them the artifact is not published.
func (p *Publisher) Publish(ctx context.Context, f File) (Record, error) {
	start := time.Now()
	if f.ContentType == "" {
		f.ContentType = ContentType(f.Name)
	}
	if f.ContentEncoding == "" {
		f.ContentEncoding = ContentEncoding(f.Name)
	}
	if !headerValue(f.ContentType) {
		return Record{}, fmt.Errorf("cannot publish %s: %w", f.Name, ErrContentType)
	}
	if f.ContentEncoding != Gzip && f.ContentEncoding != Identity {
		return Record{}, fmt.Errorf("cannot publish %s: content encoding %q is neither gzip nor identity", f.Name, f.ContentEncoding)
	}
	b, err := p.prepare(ctx, f)
	if err != nil {
		return Record{}, err
	}
	defer b.release()
	rec := Record{Name: f.Name, StorageType: TypeS3, Bytes: b.content, Stored: b.stored}
	if p.Object {
		rec.StorageType = TypeObject
	}
	if err := p.upload(ctx, f, b, &rec); err != nil {
		return Record{}, err
	}
	rec.SHA256, rec.Elapsed = b.sum, time.Since(start)
	p.keep(rec)
	return rec, nil
}

// announcement is the queue's createArtifact request.
type announcement struct {
	StorageType   string  `json:"storageType"`
	Expires       string  `json:"expires"`
	ContentType   string  `json:"contentType,omitempty"`
	ContentLength *int64  `json:"contentLength,omitempty"`
	URL           string  `json:"url,omitempty"`
	Artifact      string  `json:"artifact,omitempty"`
	Reason        Reason  `json:"reason,omitempty"`
	Message       *string `json:"message,omitempty"`
}

// location is the queue's answer to createArtifact, of which storageType tells what is set.
type location struct {
	StorageType string `json:"storageType"`
	// s3
	PutURL      string `json:"putUrl"`
	ContentType string `json:"contentType"` // object answers have none: as asked for
	// object
	Name        string          `json:"name"`
	ProjectID   string          `json:"projectId"`
	UploadID    string          `json:"uploadId"`
	Expires     string          `json:"expires"`
	Credentials objectSignature `json:"credentials"`
}

// upload announces the artifact and sends its body, again with fresh URLs
// while the storage refuses the ones it got.
func (p *Publisher) upload(ctx context.Context, f File, b *body, rec *Record) error {
	ask := announcement{StorageType: rec.StorageType, Expires: stamp(f.Expires), ContentType: f.ContentType}
	if p.Lengths.wanted() {
		ask.ContentLength = &b.content
	}
	for round := 1; ; round++ {
		to, err := p.announceContent(ctx, f.Name, &ask)
		if err != nil {
			return err
		}
		if to.StorageType != rec.StorageType {
			return fmt.Errorf("cannot publish %s: asked for %s storage, the queue chose %q", f.Name, rec.StorageType, to.StorageType)
		}
		if p.Object {
			to.ContentType = f.ContentType
			err = p.putObject(ctx, to, b, rec)
		} else {
			header := map[string]string{"Content-Type": to.ContentType, "Content-Encoding": b.encoding}
			err = p.put(ctx, target{url: to.PutURL, header: header}, b, rec)
		}
		if err == nil || round == maxRounds || !refused(err) {
			return err
		}
		p.log().WarnContext(ctx, "storage refused the upload, will ask for a fresh address", "artifact", f.Name, "round", round, "error", err)
	}
}

// announceContent is announce for what has content. It takes the length out of
// what it asks if the queue does not know lengths.
func (p *Publisher) announceContent(ctx context.Context, name string, ask *announcement) (location, error) {
	to, err := p.announce(ctx, name, *ask)
	refusal, ok := errors.AsType[*queue.Error](err)
	if ask.ContentLength == nil || !ok || refusal.Code != unknownProperty {
		return to, err
	}
	without := *ask
	without.ContentLength = nil
	to, another := p.announce(ctx, name, without)
	if another != nil {
		return to, err // so it was something else
	}
	*ask = without
	p.Lengths.refused.Store(true)
	return to, nil
}

// unknownProperty is the queue's code for a request that its schema does not allow.
const unknownProperty = "InputValidationError"

// Lengths remembers whether a queue takes the lengths of contents: those since
// version 97 do, and show them, while earlier ones refuse what they do not
// know. All publishers of one queue use one.
type Lengths struct{ refused atomic.Bool }

func (l *Lengths) wanted() bool { return l != nil && !l.refused.Load() }

// announce tells the queue of an artifact, byte for byte the same each time.
func (p *Publisher) announce(ctx context.Context, name string, ask announcement) (location, error) {
	var to location
	request, err := json.Marshal(ask)
	if err != nil {
		return to, fmt.Errorf("cannot describe artifact %s: %w", name, err)
	}
	answer, err := p.Queue.CreateArtifact(ctx, p.Claim(), name, request)
	if err != nil {
		return to, fmt.Errorf("cannot announce artifact %s: %w", name, err)
	}
	if err := json.Unmarshal(answer, &to); err != nil {
		return to, fmt.Errorf("cannot understand the queue's answer about artifact %s: %w", name, err)
	}
	return to, nil
}

// Records returns what was published so far, in order of name. Of an artifact
// published more than once, such as a log's reference that became a link, it
// has the last.
func (p *Publisher) Records() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Record, 0, len(p.records))
	for _, rec := range p.records {
		all = append(all, rec)
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (p *Publisher) keep(rec Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records == nil {
		p.records = map[string]Record{}
	}
	p.records[rec.Name] = rec
}

func (p *Publisher) state() *shared {
	p.once.Do(func() {
		client := p.HTTP
		if client == nil {
			client = queue.NewHTTPClient()
		}
		own := *client
		own.Jar = nil
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		p.shared = &shared{encoders: newEncoders(), client: &own}
	})
	return p.shared
}

func (p *Publisher) client() *http.Client { return p.state().client }

// takeBuffer returns an empty buffer, perhaps with room from earlier use.
func (p *Publisher) takeBuffer() []byte {
	if used, ok := p.state().buffers.Get().(*[]byte); ok {
		return *used
	}
	return nil
}

// giveBuffer keeps a buffer for another call. Nothing may read it any more.
func (p *Publisher) giveBuffer(buffer []byte) {
	if cap(buffer) <= 2*memoryBound {
		p.state().buffers.Put(&buffer)
	}
}

func (p *Publisher) log() *slog.Logger {
	if p.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Log
}

func (p *Publisher) firstPause() time.Duration {
	if p.timing.pause != 0 {
		return p.timing.pause
	}
	return firstPause
}

func (p *Publisher) stall() time.Duration {
	if p.timing.stall != 0 {
		return p.timing.stall
	}
	return stall
}

// stamp writes a time as the queue does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
