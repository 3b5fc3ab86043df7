package offline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"regexp"
	"strconv"
	"sync"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
)

const (
	manifestName    = "manifest.json"
	objectsName     = "objects"
	manifestVersion = 1
	maxManifest     = 64 << 20
	maxDocument     = 64 << 20 // anything that is read whole, so no artifact
)

// manifest says what is in a bundle. Objects are named by the SHA-256 of their
// content.
type manifest struct {
	Version int `json:"version"`
	// Objects has for every answer the name of the file with it.
	Objects map[string]string `json:"objects"`
	// Absent are questions whose answer was that there is no such thing.
	Absent map[string]bool `json:"absent"`
}

// The questions that a bundle has answers to.
func askTask(taskID string) string { return "task " + taskID }

func askRuns(taskID string) string { return "runs " + taskID }

func askArtifact(taskID string, runID int, name string) string {
	return "artifact " + taskID + " " + strconv.Itoa(runID) + " " + name
}

func askArtifacts(taskID string, runID int) string {
	return "artifacts " + taskID + " " + strconv.Itoa(runID)
}

func askFile(at template.Commit, name string) string {
	return "file " + askedCommit(at) + " " + name
}

func askPushes(at template.Commit) string { return "pushes " + askedCommit(at) }

func askFact(about template.Fact) string {
	return string(about.Kind) + " " + askedRepository(about.Repository) + " " + about.Name
}

func askLanded(repository, revision string) string { return "landed " + repository + " " + revision }

func askedCommit(at template.Commit) string {
	return askedRepository(at.Repository) + "@" + at.Revision
}

func askedRepository(r template.Repository) string {
	return string(r.Kind) + ":" + r.Host + "/" + r.Path
}

// Bundle is a directory that a Recorder made. It implements chain.Source and
// template.Forge, and Landed is what chain.Request wants. What is not in it was
// never asked: then the error is not chain.ErrNotFound, and a verdict stays open.
// Its methods may be called concurrently.
type Bundle struct {
	root     *os.Root
	manifest manifest
}

var (
	_ chain.Source   = (*Bundle)(nil)
	_ template.Forge = (*Bundle)(nil)
)

var objectName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{64}$`) })

// OpenBundle opens a bundle. The caller closes it.
func OpenBundle(dir string) (*Bundle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open bundle: %w", err)
	}
	b := &Bundle{root: root}
	if err := b.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open bundle %s: %w", dir, err), root.Close())
	}
	return b, nil
}

func (b *Bundle) read() error {
	file, err := openFile(b.root, manifestName)
	if err != nil {
		return fmt.Errorf("it has no manifest; only a complete bundle has one: %w", err)
	}
	defer file.Close()
	text, err := readAll(file, manifestName, maxManifest)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.manifest); err != nil {
		return fmt.Errorf("cannot read its manifest: %w", err)
	}
	if b.manifest.Version != manifestVersion {
		return fmt.Errorf("it has version %d, only %d is known", b.manifest.Version, manifestVersion)
	}
	for question, object := range b.manifest.Objects {
		if !objectName().MatchString(object) {
			return fmt.Errorf("cannot read its manifest: %q is at %q, which is no hash", question, object)
		}
	}
	return nil
}

// Close closes the bundle.
func (b *Bundle) Close() error { return b.root.Close() }

// open returns the answer to a question, which is checked while it is read.
func (b *Bundle) open(ctx context.Context, question string) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if b.manifest.Absent[question] {
		return nil, missing(question)
	}
	object, ok := b.manifest.Objects[question]
	if !ok {
		return nil, fmt.Errorf("cannot find %s in the bundle; it was not needed when the bundle was made", question)
	}
	file, err := openFile(b.root, path.Join(objectsName, object))
	if err != nil {
		return nil, fmt.Errorf("cannot open %s in the bundle: %w", question, err)
	}
	return &checked{ctx: ctx, file: file, sum: sha256.New(), want: object}, nil
}

// document returns an answer that is read whole.
func (b *Bundle) document(ctx context.Context, question string) ([]byte, error) {
	file, err := b.open(ctx, question)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, question, maxDocument)
}

// decode reads an answer that is JSON.
func (b *Bundle) decode(ctx context.Context, question string, v any) error {
	text, err := b.document(ctx, question)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read %s in the bundle: %w", question, err)
	}
	return nil
}

// Task returns the definition and the runs of a task.
func (b *Bundle) Task(ctx context.Context, taskID string) (*chain.Task, error) {
	definition, err := b.document(ctx, askTask(taskID))
	if err != nil {
		return nil, err
	}
	task := &chain.Task{Definition: definition}
	if err := b.decode(ctx, askRuns(taskID), &task.Runs); err != nil {
		return nil, err
	}
	return task, nil
}

// Artifact returns the bytes of an artifact of one run.
func (b *Bundle) Artifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error) {
	return b.open(ctx, askArtifact(taskID, runID, name))
}

// Artifacts returns the names of all artifacts of one run.
func (b *Bundle) Artifacts(ctx context.Context, taskID string, runID int) ([]string, error) {
	var names []string
	err := b.decode(ctx, askArtifacts(taskID, runID), &names)
	return names, err
}

// File returns the content of a file.
func (b *Bundle) File(ctx context.Context, at template.Commit, name string) ([]byte, error) {
	return b.document(ctx, askFile(at, name))
}

// Pushes returns the pushlog's document for the push with a commit.
func (b *Bundle) Pushes(ctx context.Context, at template.Commit) ([]byte, error) {
	return b.document(ctx, askPushes(at))
}

// Fact returns a document of GitHub's REST API.
func (b *Bundle) Fact(ctx context.Context, about template.Fact) ([]byte, error) {
	return b.document(ctx, askFact(about))
}

// Landed tells whether a revision is on a branch of the repository itself.
func (b *Bundle) Landed(ctx context.Context, repository, revision string) (bool, error) {
	var landed bool
	err := b.decode(ctx, askLanded(repository, revision), &landed)
	return landed, err
}

// checked is a file whose last byte comes only with the right hash.
type checked struct {
	ctx  context.Context // of the call that opened it: reading ends with it
	file *os.File
	sum  hash.Hash
	want string
}

// Read returns an error instead of the end of a file that is not what it was.
func (c *checked) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.file.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.sum.Sum(nil)) != c.want {
		return n, fmt.Errorf("cannot read object %s of the bundle: its content has changed", c.want)
	}
	return n, err
}

// Close closes the file.
func (c *checked) Close() error { return c.file.Close() }
