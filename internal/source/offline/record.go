package offline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
)

// Recorder passes on what a source and a forge say, and writes it into a
// directory that can be opened with OpenBundle. It implements chain.Source and
// template.Forge. An answer that cannot be written is an error. Its methods may be
// called concurrently, but for Finish and Discard.
type Recorder struct {
	source chain.Source
	forge  template.Forge
	landed func(ctx context.Context, repository, revision string) (bool, error)

	dir  string // what the bundle will be
	work string // what it is until Finish, beside it

	mu       sync.Mutex
	manifest manifest
}

var (
	_ chain.Source   = (*Recorder)(nil)
	_ template.Forge = (*Recorder)(nil)
)

// Answers are who a Recorder asks. Landed may be nil if it will not be asked.
type Answers struct {
	Source chain.Source
	Forge  template.Forge
	Landed func(ctx context.Context, repository, revision string) (bool, error)
}

// NewRecorder begins a bundle. The directory must not exist, and does not until
// Finish; the one it is to be in must.
func NewRecorder(dir string, from Answers) (*Recorder, error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot make bundle %s: there is something already; remove it, or choose another name", dir)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*")
	if err != nil {
		return nil, fmt.Errorf("cannot make bundle: %w", err)
	}
	if err := os.Mkdir(filepath.Join(work, objectsName), 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make bundle: %w", err), os.RemoveAll(work))
	}
	return &Recorder{
		source: from.Source, forge: from.Forge, landed: from.Landed, dir: dir, work: work,
		manifest: manifest{Version: manifestVersion, Objects: map[string]string{}, Absent: map[string]bool{}},
	}, nil
}

// Finish completes the bundle: now the directory is there. After an error it
// is not, and Discard removes what was written.
func (r *Recorder) Finish() error {
	text, err := json.MarshalIndent(r.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the manifest of bundle %s: %w", r.dir, err)
	}
	file, err := os.CreateTemp(r.work, manifestName)
	if err != nil {
		return fmt.Errorf("cannot write the manifest of bundle %s: %w", r.dir, err)
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err != nil {
		return fmt.Errorf("cannot write the manifest of bundle %s: %w", r.dir, err)
	}
	if err := os.Rename(file.Name(), filepath.Join(r.work, manifestName)); err != nil {
		return fmt.Errorf("cannot write the manifest of bundle %s: %w", r.dir, err)
	}
	if err := os.Chmod(r.work, 0o755); err != nil {
		return fmt.Errorf("cannot complete bundle: %w", err)
	}
	if err := os.Rename(r.work, r.dir); err != nil {
		return fmt.Errorf("cannot complete bundle: %w", err)
	}
	return nil
}

// Discard removes what was written of a bundle that is not finished. After
// Finish it does nothing.
func (r *Recorder) Discard() error {
	if err := os.RemoveAll(r.work); err != nil {
		return fmt.Errorf("cannot remove the bundle begun for %s: %w", r.dir, err)
	}
	return nil
}

// note keeps that there is no such thing, and returns err.
func (r *Recorder) note(question string, err error) error {
	if errors.Is(err, chain.ErrNotFound) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.manifest.Absent[question] = true
	}
	return err
}

// keep writes an answer.
func (r *Recorder) keep(question string, text []byte) error {
	object, err := r.begin(question)
	if err != nil {
		return err
	}
	if _, err := io.Copy(object, bytes.NewReader(text)); err != nil {
		return errors.Join(err, object.discard())
	}
	return object.finish()
}

// keepJSON writes an answer that is a value.
func (r *Recorder) keepJSON(question string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("cannot write %s into the bundle: %w", question, err)
	}
	return r.keep(question, text)
}

// document passes on and keeps an answer of bytes.
func (r *Recorder) document(question string, text []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, r.note(question, err)
	}
	if err := r.keep(question, text); err != nil {
		return nil, err
	}
	return text, nil
}

// Task returns the definition and the runs of a task.
func (r *Recorder) Task(ctx context.Context, taskID string) (*chain.Task, error) {
	task, err := r.source.Task(ctx, taskID)
	if err != nil {
		return nil, r.note(askTask(taskID), err)
	}
	// The definition stays as received: hashes of it must not change.
	if err := errors.Join(r.keep(askTask(taskID), task.Definition), r.keepJSON(askRuns(taskID), task.Runs)); err != nil {
		return nil, err
	}
	return task, nil
}

// Artifacts returns the names of all artifacts of one run.
func (r *Recorder) Artifacts(ctx context.Context, taskID string, runID int) ([]string, error) {
	names, err := r.source.Artifacts(ctx, taskID, runID)
	if err != nil {
		return nil, r.note(askArtifacts(taskID, runID), err)
	}
	if err := r.keepJSON(askArtifacts(taskID, runID), names); err != nil {
		return nil, err
	}
	return names, nil
}

// Artifact returns the bytes of an artifact of one run. It is in the bundle once
// it was read to its end.
func (r *Recorder) Artifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error) {
	question := askArtifact(taskID, runID, name)
	content, err := r.source.Artifact(ctx, taskID, runID, name)
	if err != nil {
		return nil, r.note(question, err)
	}
	object, err := r.begin(question)
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return &recorded{content: content, object: object}, nil
}

// File returns the content of a file.
func (r *Recorder) File(ctx context.Context, at template.Commit, name string) ([]byte, error) {
	text, err := r.forge.File(ctx, at, name)
	return r.document(askFile(at, name), text, err)
}

// Pushes returns the pushlog's document for the push with a commit.
func (r *Recorder) Pushes(ctx context.Context, at template.Commit) ([]byte, error) {
	text, err := r.forge.Pushes(ctx, at)
	return r.document(askPushes(at), text, err)
}

// Fact returns a document of GitHub's REST API.
func (r *Recorder) Fact(ctx context.Context, about template.Fact) ([]byte, error) {
	text, err := r.forge.Fact(ctx, about)
	return r.document(askFact(about), text, err)
}

// Landed tells whether a revision is on a branch of the repository itself.
func (r *Recorder) Landed(ctx context.Context, repository, revision string) (bool, error) {
	if r.landed == nil {
		return false, errors.New("cannot tell what landed: nobody to ask was given")
	}
	landed, err := r.landed(ctx, repository, revision)
	if err != nil {
		return false, err
	}
	return landed, r.keepJSON(askLanded(repository, revision), landed)
}

// object is a file of a bundle while it is written.
type object struct {
	recorder *Recorder
	question string
	file     *os.File
	sum      hash.Hash
}

func (r *Recorder) begin(question string) (*object, error) {
	file, err := os.CreateTemp(filepath.Join(r.work, objectsName), "part-*")
	if err != nil {
		return nil, fmt.Errorf("cannot write %s into the bundle: %w", question, err)
	}
	return &object{recorder: r, question: question, file: file, sum: sha256.New()}, nil
}

// Write adds to the object.
func (o *object) Write(p []byte) (int, error) {
	o.sum.Write(p)
	n, err := o.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("cannot write %s into the bundle: %w", o.question, err)
	}
	return n, nil
}

// finish gives the object its name.
func (o *object) finish() error {
	name := hex.EncodeToString(o.sum.Sum(nil))
	err := errors.Join(o.file.Chmod(0o644), o.file.Close())
	if err == nil {
		err = os.Rename(o.file.Name(), filepath.Join(o.recorder.work, objectsName, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write %s into the bundle: %w", o.question, err), os.Remove(o.file.Name()))
	}
	o.recorder.mu.Lock()
	defer o.recorder.mu.Unlock()
	o.recorder.manifest.Objects[o.question] = name
	return nil
}

func (o *object) discard() error {
	return errors.Join(o.file.Close(), os.Remove(o.file.Name()))
}

// recorded is content that is written down while it is read.
type recorded struct {
	content  io.ReadCloser
	object   *object
	complete bool
}

// Read passes on what was written.
func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.content.Read(p)
	if n > 0 {
		if _, err := r.object.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	r.complete = r.complete || errors.Is(err, io.EOF)
	return n, err
}

// Close keeps what was read to its end and drops what was not.
func (r *recorded) Close() error {
	err := r.content.Close()
	if r.complete && err == nil {
		return r.object.finish()
	}
	return errors.Join(err, r.object.discard())
}
