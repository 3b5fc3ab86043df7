package storage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/taskcluster/generic-worker/internal/queue/local/blob"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

// Kinds of data in storage: of s3 artifacts, and of objects.
const (
	artifactKind = "artifact"
	objectKind   = "object"
)

// How long signed URLs are good for, as in a Taskcluster deployment.
const (
	PutLifetime = 45 * time.Minute
	GetLifetime = 30 * time.Minute
)

// Data names stored bytes: whose they are and, for the upload of an object,
// which upload.
type Data struct {
	kind, key, uploadID string
}

func artifactData(a ledger.Artifact) Data {
	return Data{kind: artifactKind, key: a.TaskID + "/" + strconv.Itoa(a.RunID) + "/" + a.Name}
}

// Of returns where the bytes of an s3 or object artifact are.
func Of(a ledger.Artifact) Data {
	if a.StorageType == "object" {
		return Data{kind: objectKind, key: ledger.ObjectName(a.TaskID, a.RunID, a.Name)}
	}
	return artifactData(a)
}

// URL returns a URL by which anyone can get or put the data until it
// expires.
func (s *Storage) URL(base, method string, d Data, expires time.Time) string {
	until := strconv.FormatInt(expires.Unix(), 10)
	query := url.Values{"expires": {until}, "signature": {s.signature(method, d, until)}}
	if d.uploadID != "" {
		query.Set("upload", d.uploadID)
	}
	return strings.TrimSuffix(base, "/") + "/storage/" + d.kind + "/" + url.PathEscape(d.key) + "?" + query.Encode()
}

func (s *Storage) signature(method string, d Data, until string) string {
	h := hmac.New(sha256.New, []byte(s.key))
	// No part but the key can hold a newline, and the key comes last.
	io.WriteString(h, strings.Join([]string{method, until, d.kind, d.uploadID, d.key}, "\n"))
	return hex.EncodeToString(h.Sum(nil))
}

// signed tells which data the request may get or put by its URL.
func (s *Storage) signed(r *http.Request) (Data, error) {
	vars := mux.Vars(r)
	key, err := url.PathUnescape(vars["key"])
	query := r.URL.Query()
	d := Data{kind: vars["kind"], key: key, uploadID: query.Get("upload")}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	until := query.Get("expires")
	if err != nil || !hmac.Equal([]byte(query.Get("signature")), []byte(s.signature(method, d, until))) {
		return d, rest.Refuse(http.StatusForbidden, rest.AuthenticationFailed, "the URL's signature is not valid for %s", r.Method)
	}
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil || time.Now().After(time.Unix(seconds, 0)) {
		return d, rest.Refuse(http.StatusForbidden, rest.AuthenticationFailed, "the URL has expired; ask the queue for a new one")
	}
	return d, nil
}

// serve answers requests for the bytes of artifacts and objects.
func (s *Storage) serve(server *rest.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, err := s.signed(r)
		switch {
		case err != nil:
		case r.Method == http.MethodPut:
			err = s.put(w, r, d)
		default:
			err = s.get(w, r, d)
		}
		if err != nil {
			server.Refuse(w, &rest.Call{Request: r}, "storage", err)
		}
	}
}

func (s *Storage) put(w http.ResponseWriter, r *http.Request, d Data) error {
	length := r.ContentLength
	switch {
	case length < 0:
		return rest.Refuse(http.StatusLengthRequired, rest.InvalidArguments, "send the header Content-Length")
	case length > s.maxUpload:
		return rest.Refuse(http.StatusRequestEntityTooLarge, rest.TooLarge, "the data is larger than %d bytes", s.maxUpload)
	}
	content := ledger.Content{Type: r.Header.Get("Content-Type"), Encoding: r.Header.Get("Content-Encoding")}
	store, err := s.receiver(context.WithoutCancel(r.Context()), d, content.Type)
	if err != nil {
		return err
	}
	stored, err := s.keep(r.Context(), r.Body, length, content)
	if errors.Is(err, blob.ErrTruncated) {
		return rest.Refuse(http.StatusBadRequest, rest.MalformedPayload, "%v", blob.ErrTruncated)
	}
	if err != nil {
		return err
	}
	if err := store(stored); err != nil {
		s.discard(stored.ID)
		return err
	}
	w.Header().Set("ETag", strconv.Quote(stored.SHA256))
	w.WriteHeader(http.StatusOK)
	return nil
}

// keep stores bytes; no record refers to them yet.
func (s *Storage) keep(ctx context.Context, r io.Reader, length int64, content ledger.Content) (ledger.Content, error) {
	b, err := s.blobs.Write(ctx, r, length)
	content.ID, content.Length, content.SHA256 = b.ID, b.Length, b.SHA256
	if content.Encoding == "identity" {
		content.Encoding = ""
	}
	return content, err
}

// receiver says how to note that the data arrived, or why it may not.
func (s *Storage) receiver(ctx context.Context, d Data, contentType string) (func(ledger.Content) error, error) {
	if d.kind == objectKind {
		o, err := s.ledger.Object(d.key)
		if err == nil && (o.Finished || o.UploadID != d.uploadID) {
			err = rest.Refuse(http.StatusConflict, "RequestConflict", "the upload of object %q is finished or belongs to someone else", d.key)
		}
		return func(content ledger.Content) error {
			return s.ledger.StoreObject(ctx, d.key, d.uploadID, content)
		}, err
	}
	a, err := s.artifactOf(d)
	if err == nil && a.ContentType != contentType {
		err = rest.Refuse(http.StatusForbidden, rest.InvalidArguments, "send the header Content-Type: %s, as the artifact was announced", a.ContentType)
	}
	return func(content ledger.Content) error {
		return s.ledger.StoreArtifact(ctx, a, content)
	}, err
}

func (s *Storage) artifactOf(d Data) (ledger.Artifact, error) {
	parts := strings.SplitN(d.key, "/", 3)
	if len(parts) != 3 {
		return ledger.Artifact{}, rest.Refuse(http.StatusNotFound, rest.NotFound, "there is no such artifact")
	}
	runID, err := strconv.Atoi(parts[1])
	if err != nil {
		return ledger.Artifact{}, rest.Refuse(http.StatusNotFound, rest.NotFound, "there is no such artifact")
	}
	return s.ledger.Artifact(parts[0], runID, parts[2])
}

// Stored returns what is kept of the data.
func (s *Storage) Stored(d Data) (ledger.Content, error) {
	var content ledger.Content
	if d.kind == objectKind {
		o, err := s.ledger.Object(d.key)
		if err != nil {
			return content, err
		}
		content = o.Content
	} else {
		a, err := s.artifactOf(d)
		if err != nil {
			return content, err
		}
		content = a.Content
	}
	if content.ID == "" {
		return content, rest.Refuse(http.StatusNotFound, rest.NotFound, "the data of %q has not arrived", d.key)
	}
	return content, nil
}

func (s *Storage) get(w http.ResponseWriter, r *http.Request, d Data) error {
	content, err := s.Stored(d)
	if err != nil {
		return err
	}
	f, err := s.blobs.Open(content.ID)
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", content.Type)
	// What a task made must not act as a page of this server.
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", strconv.Quote(content.SHA256))
	if content.Encoding != "" {
		h.Set("Content-Encoding", content.Encoding)
	}
	if r.Header.Get("Range") == "" {
		h.Set("Content-Length", strconv.FormatInt(content.Length, 10))
	}
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}
