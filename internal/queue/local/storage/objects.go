package storage

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

const maxInline = 8192

func (s *Storage) objectRoutes() []rest.Route {
	const get, put, post = http.MethodGet, http.MethodPut, http.MethodPost
	return []rest.Route{
		s.route(put, "/upload/{name:.+}", "createUpload", (*call).createUpload),
		s.route(post, "/finish-upload/{name:.+}", "finishUpload", (*call).finishUpload),
		s.route(put, "/start-download/{name:.+}", "startDownload", (*call).startDownload),
		s.route(get, "/metadata/{name:.+}", "object", (*call).objectInfo),
		s.route(get, "/download/{name:.+}", "download", (*call).download),
	}
}

type uploadRequest struct {
	ProjectID             string            `json:"projectId"`
	UploadID              string            `json:"uploadId"`
	Expires               *tcclient.Time    `json:"expires"`
	Hashes                map[string]string `json:"hashes"`
	ProposedUploadMethods *struct {
		DataInline *struct {
			ContentType string `json:"contentType"`
			ObjectData  string `json:"objectData"`
		} `json:"dataInline"`
		PutURL *struct {
			ContentType   string `json:"contentType"`
			ContentLength int64  `json:"contentLength"`
		} `json:"putUrl"`
	} `json:"proposedUploadMethods"`
}

func (r *uploadRequest) Problems() rest.Problems {
	p := uploadProblems(r.ProjectID, r.UploadID, r.Hashes)
	p.Check(r.Expires != nil, "/expires", "is missing")
	p.Check(r.ProposedUploadMethods != nil, "/proposedUploadMethods", "is missing")
	return p
}

func uploadProblems(projectID, uploadID string, hashes map[string]string) rest.Problems {
	var p rest.Problems
	p.Check(rest.ProjectForm().MatchString(projectID), "/projectId", "must match "+rest.ProjectForm().String())
	p.Check(rest.SlugForm().MatchString(uploadID), "/uploadId", "must be a slug id")
	for algorithm := range hashes {
		p.Check(algorithm == "sha256" || algorithm == "sha512", "/hashes/"+algorithm, "is not a known hash; use sha256 or sha512")
	}
	return p
}

func (c *call) needUpload(projectID string) error {
	return c.Need(hawk.Scope("object:upload:", projectID, ":", c.Params["name"]))
}

func (c *call) createUpload() (any, error) {
	var r uploadRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	if err := c.needUpload(r.ProjectID); err != nil {
		return nil, err
	}
	o, err := c.ledger.CreateObject(c.Request.Context(), ledger.Object{
		Name: c.Params["name"], ProjectID: r.ProjectID, UploadID: r.UploadID, Expires: *r.Expires, Hashes: r.Hashes,
	})
	if err != nil {
		return nil, err
	}
	method, err := c.chooseUpload(o, r)
	return map[string]any{
		"projectId": o.ProjectID, "uploadId": o.UploadID, "expires": o.Expires, "uploadMethod": method,
	}, err
}

// chooseUpload accepts one of the proposed ways to upload, if there is any.
func (c *call) chooseUpload(o ledger.Object, r uploadRequest) (map[string]any, error) {
	inline, put := r.ProposedUploadMethods.DataInline, r.ProposedUploadMethods.PutURL
	// Some clients propose empty inline data beside every larger upload.
	// Accepting that would store an empty object in its place.
	if inline != nil && (put == nil || inline.ObjectData != "" || put.ContentLength == 0) {
		bytes, err := base64.StdEncoding.DecodeString(inline.ObjectData)
		if err != nil || len(bytes) > maxInline {
			return nil, rest.Refuse(http.StatusBadRequest, rest.InvalidDocument, "/proposedUploadMethods/dataInline/objectData must be base64 of at most %d bytes", maxInline)
		}
		return map[string]any{"dataInline": true}, c.storeInline(o, bytes, inline.ContentType)
	}
	if put == nil {
		return map[string]any{}, nil
	}
	expires := time.Now().Add(PutLifetime)
	d := Data{kind: objectKind, key: o.Name, uploadID: o.UploadID}
	return map[string]any{"putUrl": map[string]any{
		"url":     c.URL(c.Base(), http.MethodPut, d, expires),
		"expires": tcclient.Time(expires),
		"headers": map[string]string{"Content-Type": put.ContentType, "Content-Length": strconv.FormatInt(put.ContentLength, 10)},
	}}, nil
}

func (c *call) storeInline(o ledger.Object, b []byte, contentType string) error {
	content, err := c.keep(c.Request.Context(), bytes.NewReader(b), int64(len(b)), ledger.Content{Type: contentType})
	if err != nil {
		return err
	}
	if err := c.ledger.StoreObject(c.Request.Context(), o.Name, o.UploadID, content); err != nil {
		c.discard(content.ID)
		return err
	}
	return nil
}

type finishUploadRequest struct {
	ProjectID string            `json:"projectId"`
	UploadID  string            `json:"uploadId"`
	Hashes    map[string]string `json:"hashes"`
}

func (r *finishUploadRequest) Problems() rest.Problems {
	return uploadProblems(r.ProjectID, r.UploadID, r.Hashes)
}

func (c *call) finishUpload() (any, error) {
	var r finishUploadRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	if err := c.needUpload(r.ProjectID); err != nil {
		return nil, err
	}
	return struct{}{}, c.ledger.FinishObject(c.Request.Context(), ledger.Object{
		Name: c.Params["name"], ProjectID: r.ProjectID, UploadID: r.UploadID, Hashes: r.Hashes,
	})
}

// finished returns the object that the path names if the caller may have it.
func (c *call) finished() (ledger.Object, error) {
	name := c.Params["name"]
	if err := c.Need(hawk.Scope("object:download:", name)); err != nil {
		return ledger.Object{}, err
	}
	o, err := c.ledger.Object(name)
	if err == nil && !o.Finished {
		err = rest.Refuse(http.StatusNotFound, rest.NotFound, "object %q is still being uploaded", name)
	}
	return o, err
}

type downloadRequest struct {
	AcceptDownloadMethods map[string]any `json:"acceptDownloadMethods"`
}

func (r *downloadRequest) Problems() rest.Problems {
	var p rest.Problems
	p.Check(r.AcceptDownloadMethods != nil, "/acceptDownloadMethods", "is missing")
	return p
}

func (c *call) startDownload() (any, error) {
	var r downloadRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	o, err := c.finished()
	if err != nil {
		return nil, err
	}
	expires := time.Now().Add(GetLifetime)
	link := c.URL(c.Base(), http.MethodGet, Data{kind: objectKind, key: o.Name}, expires)
	if _, accepted := r.AcceptDownloadMethods["getUrl"]; accepted {
		return map[string]any{"method": "getUrl", "url": link, "expires": tcclient.Time(expires), "hashes": hashesOf(o)}, nil
	}
	if _, accepted := r.AcceptDownloadMethods["simple"]; accepted {
		return map[string]any{"method": "simple", "url": link}, nil
	}
	return nil, rest.Refuse(http.StatusNotAcceptable, rest.NoMatchingMethod, "objects can be downloaded by %s", strings.Join([]string{"getUrl", "simple"}, ", "))
}

func hashesOf(o ledger.Object) map[string]string {
	if o.Hashes == nil {
		return map[string]string{}
	}
	return o.Hashes
}

func (c *call) objectInfo() (any, error) {
	o, err := c.finished()
	return map[string]any{"projectId": o.ProjectID, "expires": o.Expires, "hashes": hashesOf(o)}, err
}

func (c *call) download() (any, error) {
	o, err := c.finished()
	if err != nil {
		return nil, err
	}
	link := c.URL(c.Base(), http.MethodGet, Data{kind: objectKind, key: o.Name}, time.Now().Add(GetLifetime))
	return rest.Reply{Status: http.StatusSeeOther, Header: map[string]string{"Location": link}, Body: struct{}{}}, nil
}
