package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/backoff"
	"github.com/taskcluster/generic-worker/internal/mask"
)

// inlineBelow is the size under which an object's data travels in the request itself.
const inlineBelow = 8 << 10

var errNoMethod = errors.New("the object service offers no way to upload that was proposed")

// objectSignature is the credentials with which one object may be uploaded.
type objectSignature struct {
	ClientID    string      `json:"clientId"`
	AccessToken mask.Secret `json:"accessToken"`
	Certificate mask.Secret `json:"certificate"`
}

// creation is the object service's createUpload request. Exactly one method is
// proposed: where two are, the service prefers data in the request, even if empty.
type creation struct {
	ProjectID string   `json:"projectId"`
	UploadID  string   `json:"uploadId"`
	Expires   string   `json:"expires"`
	Proposed  proposal `json:"proposedUploadMethods"`
}

type proposal struct {
	DataInline *inlineProposal `json:"dataInline,omitempty"`
	PutURL     *putProposal    `json:"putUrl,omitempty"`
}

type inlineProposal struct {
	ContentType string `json:"contentType"`
	ObjectData  []byte `json:"objectData"` // base64 in JSON
}

type putProposal struct {
	ContentType   string `json:"contentType"`
	ContentLength int64  `json:"contentLength"`
}

// selection is the service's answer: the method it chose.
type selection struct {
	UploadMethod struct {
		DataInline bool `json:"dataInline"`
		PutURL     *struct {
			URL     string            `json:"url"`
			Headers map[string]string `json:"headers"`
		} `json:"putUrl"`
	} `json:"uploadMethod"`
}

// completion is the finishUpload request.
type completion struct {
	ProjectID string            `json:"projectId"`
	UploadID  string            `json:"uploadId"`
	Hashes    map[string]string `json:"hashes"`
}

// putObject uploads a body to the object service and tells it and the queue that it is complete.
func (p *Publisher) putObject(ctx context.Context, to location, b *body, rec *Record) error {
	ask := creation{ProjectID: to.ProjectID, UploadID: to.UploadID, Expires: to.Expires}
	inline := b.stored < inlineBelow
	if inline {
		data, err := b.bytes()
		if err != nil {
			return err
		}
		rec.Attempts++
		ask.Proposed.DataInline = &inlineProposal{ContentType: to.ContentType, ObjectData: data}
	} else {
		ask.Proposed.PutURL = &putProposal{ContentType: to.ContentType, ContentLength: b.stored}
	}
	var chosen selection
	if err := p.object(ctx, to, objectCall{http.MethodPut, "upload", ask, &chosen}); err != nil {
		return err
	}
	switch method := chosen.UploadMethod; {
	case inline && method.DataInline:
	case !inline && method.PutURL != nil:
		if err := p.put(ctx, target{url: method.PutURL.URL, header: method.PutURL.Headers}, b, rec); err != nil {
			return err
		}
	default:
		return &StorageError{Name: rec.Name, Err: errNoMethod}
	}
	done := completion{ProjectID: to.ProjectID, UploadID: to.UploadID, Hashes: map[string]string{"sha256": b.sum}}
	if err := p.object(ctx, to, objectCall{http.MethodPost, "finish-upload", done, nil}); err != nil {
		return err
	}
	if err := p.Queue.FinishArtifact(ctx, p.Claim(), rec.Name, to.UploadID); err != nil {
		return fmt.Errorf("cannot finish artifact %s: %w", rec.Name, err)
	}
	return nil
}

// bytes reads a small body whole.
func (b *body) bytes() ([]byte, error) {
	s, err := newSender(b, func() {})
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(s)
	if err != nil {
		return nil, err
	}
	b.sum = s.sum()
	return data, nil
}

// objectCall is a call of the object service; answer is nil if it does not matter.
type objectCall struct {
	method, name string
	ask, answer  any
}

// object makes one call of the object service, again while it is not available.
func (p *Publisher) object(ctx context.Context, to location, call objectCall) error {
	request, err := json.Marshal(call.ask)
	if err != nil {
		return fmt.Errorf("cannot describe object %s: %w", to.Name, err)
	}
	address := strings.TrimSuffix(p.RootURL, "/") + "/api/object/v1/" + call.name + "/" + url.PathEscape(to.Name)
	for attempt := 1; ; attempt++ {
		req, err := http.NewRequest(call.method, address, bytes.NewReader(request))
		if err != nil {
			return fmt.Errorf("cannot reach the object service: %w", err)
		}
		after, err := p.objectOnce(ctx, to, req, call.answer)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		failure, ok := errors.AsType[*StorageError](err)
		if attempt == maxAttempts || !ok || !passing(err) || failure.Status == http.StatusBadRequest {
			return err
		}
		p.log().WarnContext(ctx, "object service call failed, will try again", "call", call.name, "attempt", attempt, "error", err)
		if err := p.pause(ctx, attempt, after); err != nil {
			return err
		}
	}
}

func (p *Publisher) objectOnce(ctx context.Context, to location, req *http.Request, answer any) (time.Duration, error) {
	attempt, cancel := context.WithTimeoutCause(ctx, p.stall(), errStalled)
	defer cancel()
	req = req.WithContext(attempt)
	req.Header.Set("Content-Type", "application/json")
	credentials := tcclient.Credentials{
		ClientID:    to.Credentials.ClientID,
		AccessToken: string(to.Credentials.AccessToken),
		Certificate: string(to.Credentials.Certificate),
	}
	// Its error would repeat the credentials.
	if credentials.SignRequest(req) != nil {
		return 0, fmt.Errorf("cannot sign a request for object %s: the queue gave credentials without a valid certificate", to.Name)
	}
	resp, err := p.client().Do(req)
	if err != nil {
		return 0, &StorageError{Name: to.Name, Err: plain(attempt, err)}
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, &StorageError{Name: to.Name, Err: plain(attempt, err)}
	}
	if resp.StatusCode/100 != 2 {
		failure := &StorageError{Name: to.Name, Status: resp.StatusCode}
		var text struct{ Code, Message string }
		if json.Unmarshal(said, &text) == nil {
			failure.Code, failure.Message = clip(text.Code, 64), clip(text.Message, 256)
		}
		return backoff.RetryAfter(resp.Header, time.Now()), failure
	}
	if answer == nil {
		return 0, nil
	}
	if err := json.Unmarshal(said, answer); err != nil {
		return 0, &StorageError{Name: to.Name, Err: fmt.Errorf("cannot understand the object service: %w", err)}
	}
	return 0, nil
}
