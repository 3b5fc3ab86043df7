package queuetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcobject"
)

// object is data in the storage, guarded by Fake.mu.
type object struct {
	uploadID    string // empty for s3 artifacts
	finished    bool
	contentType string
	encoding    string
	uploads     int
	size        int64
	sha256      string
	kept        []byte
}

// receiver takes data in without holding more than it shall.
type receiver struct {
	hash hash.Hash // nil: not wanted
	keep int
	size int64
	kept []byte
}

func (f *Fake) newReceiver() *receiver {
	r := &receiver{keep: f.o.KeepBodies}
	if !f.o.NoHash {
		r.hash = sha256.New()
	}
	return r
}

func (r *receiver) Write(p []byte) (int, error) {
	if r.hash != nil {
		r.hash.Write(p)
	}
	if room := r.keep - len(r.kept); room > 0 {
		r.kept = append(r.kept, p[:min(room, len(p))]...)
	}
	r.size += int64(len(p))
	return len(p), nil
}

// store replaces what is stored under a key.
func (f *Fake) store(key string, r *receiver, contentType, encoding string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := f.objects[key]
	if data == nil {
		data = &object{}
		f.objects[key] = data
	}
	data.contentType, data.encoding, data.size, data.kept = contentType, encoding, r.size, r.kept
	if r.hash != nil {
		data.sha256 = hex.EncodeToString(r.hash.Sum(nil))
	}
	data.uploads++
	f.notify()
}

// putData receives an upload as S3 does: at a signed address, with the type
// that was signed and a length, all or nothing.
func (f *Fake) putData(x *exchange) reply {
	query := x.r.URL.Query()
	until, err := strconv.ParseInt(query.Get("until"), 10, 64)
	switch {
	case err != nil:
		return refuse(http.StatusForbidden, "AccessDenied", "the address is not one that the queue gave out")
	case f.now().UnixNano() >= until:
		return refuse(http.StatusForbidden, "AccessDenied", "Request has expired")
	case x.r.ContentLength < 0:
		return refuse(http.StatusLengthRequired, "MissingContentLength", "there is no Content-Length")
	case x.r.Header.Get("Content-Type") != query.Get("contentType"):
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Content-Type is not the one that was signed")
	}
	body := io.Reader(x.r.Body)
	if x.fault.Kind == FaultCut {
		body = io.LimitReader(body, x.fault.Bytes)
	}
	r := f.newReceiver()
	_, err = io.Copy(r, body)
	x.record(0, r.size)
	switch {
	case x.fault.Kind == FaultCut:
		reset(x.w)
		return reply{}
	case err != nil:
		return refuse(http.StatusBadRequest, "IncompleteBody", "fewer bytes than announced by Content-Length")
	}
	encoding := x.r.Header.Get("Content-Encoding")
	f.store(x.name, r, x.r.Header.Get("Content-Type"), encoding)
	// Encoded data has another length than was announced.
	announced, err := strconv.ParseInt(query.Get("length"), 10, 64)
	if err == nil && announced != r.size && (encoding == "" || encoding == "identity") {
		f.mu.Lock()
		f.violate("length mismatch: %s was announced with %d bytes and has %d", x.name, announced, r.size)
		f.mu.Unlock()
	}
	return reply{200, nil}
}

func (f *Fake) getData(x *exchange) reply {
	f.mu.Lock()
	data := f.objects[x.name]
	var copied object
	if data != nil {
		copied = *data
	}
	f.mu.Unlock()
	switch {
	case data == nil:
		return refuse(http.StatusNotFound, "NoSuchKey", "there is nothing under this key")
	case copied.size > int64(len(copied.kept)):
		return refuse(http.StatusGone, "NotKept", "the fake keeps only the start of long bodies")
	}
	x.w.Header().Set("Content-Type", copied.contentType)
	if copied.encoding != "" {
		x.w.Header().Set("Content-Encoding", copied.encoding)
	}
	status, body := http.StatusOK, copied.kept
	if copied.sha256 != "" {
		tag := strconv.Quote(copied.sha256)
		x.w.Header().Set("ETag", tag)
		if from := x.rest(tag); from > 0 && from < len(body) {
			x.w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			status, body = http.StatusPartialContent, body[from:]
		}
	}
	x.record(status, 0)
	x.after(status, body)
	return reply{}
}

// rest returns from which byte the rest of data with an entity tag is asked for.
func (x *exchange) rest(tag string) int {
	from, found := strings.CutPrefix(x.r.Header.Get("Range"), "bytes=")
	n, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
	if !found || err != nil || x.r.Header.Get("If-Range") != tag {
		return 0
	}
	return n
}

// createUpload is the object service's call. Of the proposed methods it takes
// dataInline first, as the service does.
func (f *Fake) createUpload(x *exchange) reply {
	var in struct {
		ProjectID string          `json:"projectId"`
		UploadID  string          `json:"uploadId"`
		Expires   json.RawMessage `json:"expires"`
		Methods   struct {
			DataInline *tcobject.DataInlineUploadRequest `json:"dataInline"`
			PutURL     *tcobject.PutURLUploadRequest     `json:"putUrl"`
		} `json:"proposedUploadMethods"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil || in.UploadID == "" {
		return refuse(http.StatusBadRequest, "InputValidationError", "createUpload needs an uploadId and proposedUploadMethods")
	}
	f.mu.Lock()
	data := f.objects[x.name]
	if data == nil {
		data = &object{uploadID: in.UploadID}
		f.objects[x.name] = data
	}
	known := data.uploadID == in.UploadID && !data.finished
	f.mu.Unlock()
	if !known {
		return conflict("object already exists")
	}
	method := map[string]any{}
	if inline := in.Methods.DataInline; inline != nil {
		r := f.newReceiver()
		content, err := base64.StdEncoding.DecodeString(inline.ObjectData)
		if err != nil {
			return inputError("invalid base64 objectData")
		}
		_, _ = r.Write(content) // cannot fail
		f.store(x.name, r, inline.ContentType, "")
		method["dataInline"] = true
	} else if put := in.Methods.PutURL; put != nil {
		until := f.now().Add(f.o.PutURLTTL)
		method["putUrl"] = map[string]any{
			"url": f.uploadURL(x.name, put.ContentType, &put.ContentLength, until), "expires": until.UTC().Format(time.RFC3339Nano),
			"headers": map[string]string{
				"Content-Type": put.ContentType, "Content-Length": strconv.FormatInt(put.ContentLength, 10), "Content-Encoding": "identity",
			},
		}
	}
	return reply{200, map[string]any{
		"projectId": in.ProjectID, "uploadId": in.UploadID, "expires": in.Expires, "uploadMethod": method,
	}}
}

func (f *Fake) finishUpload(x *exchange) reply {
	var in tcobject.FinishUploadRequest
	if err := json.NewDecoder(bytes.NewReader(x.body)).Decode(&in); err != nil {
		return refuse(http.StatusBadRequest, "InputValidationError", err.Error())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	data := f.objects[x.name]
	switch {
	case data == nil:
		return notFound("object")
	case data.uploadID != in.UploadID:
		return conflict("uploadId is not the object's")
	case data.uploads == 0:
		return inputError("object has no data")
	case in.Hashes.Sha256 != "" && data.sha256 != "" && in.Hashes.Sha256 != data.sha256:
		f.violate("hash mismatch: object %s was announced as %s and is %s", x.name, in.Hashes.Sha256, data.sha256)
	}
	data.finished = true
	f.notify()
	return reply{200, map[string]any{}}
}
