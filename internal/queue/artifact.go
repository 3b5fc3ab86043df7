package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"
)

// CreateArtifact announces an artifact. Every attempt sends request byte for
// byte, so that the queue recognises a repeated call. The answer may hold
// credentials or a signed address: it must not be logged.
func (c *Client) CreateArtifact(ctx context.Context, claim Claim, name string, request json.RawMessage) (json.RawMessage, error) {
	var created json.RawMessage
	err := c.do(ctx, &call{
		name: "createArtifact", method: http.MethodPost, route: claim.route() + "/artifacts/" + segment(name),
		claim: &claim, body: request,
		decode: func(a answer) error {
			created = a.body
			var doc struct {
				StorageType string `json:"storageType"`
			}
			if err := json.Unmarshal(a.body, &doc); err != nil {
				return err
			}
			if doc.StorageType == "" {
				return errors.New("it has no storageType")
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// FinishArtifact tells that the object upload of an artifact is complete.
func (c *Client) FinishArtifact(ctx context.Context, claim Claim, name, uploadID string) error {
	body, err := json.Marshal(tcqueue.FinishArtifactRequest{UploadID: uploadID})
	if err != nil {
		return fmt.Errorf("cannot encode finishArtifact request: %w", err)
	}
	return c.do(ctx, &call{
		name: "finishArtifact", method: http.MethodPut, route: claim.route() + "/artifacts/" + segment(name),
		claim: &claim, body: body,
		decode: func(a answer) error {
			if len(a.body) == 0 { // 204
				return nil
			}
			return isObject(a)
		},
	})
}

// Artifacts lists the artifacts of a run; runID -1 means the latest.
func (c *Client) Artifacts(ctx context.Context, taskID string, runID int) ([]Artifact, error) {
	var all []Artifact
	k := call{name: "listArtifacts", method: http.MethodGet, route: runRoute(taskID, runID) + "/artifacts"}
	err := c.pages(ctx, k, func(a answer) (string, error) {
		var doc struct {
			Artifacts         []Artifact `json:"artifacts"`
			ContinuationToken string     `json:"continuationToken"`
		}
		if err := json.Unmarshal(a.body, &doc); err != nil {
			return "", err
		}
		if doc.Artifacts == nil {
			return "", errors.New("it has no list of artifacts")
		}
		all = append(all, doc.Artifacts...)
		return doc.ContinuationToken, nil
	})
	return all, err
}

// runRoute is the route of a run, or of the task if it is the latest run's.
func runRoute(taskID string, runID int) string {
	route := "/task/" + segment(taskID)
	if runID >= 0 {
		route += "/runs/" + strconv.Itoa(runID)
	}
	return route
}
