package queue

import (
	"context"
	"net/http"
)

// Running tells whether the queue still considers a claimed run to be running:
// false once it was canceled, resolved or given to another worker. It is asked
// once, with the run's own credentials; a queue that does not let them ask
// answers ErrUnauthorized.
func (c *Client) Running(ctx context.Context, claim Claim) (bool, error) {
	k := &call{name: "status", method: http.MethodGet, route: "/task/" + segment(claim.TaskID) + "/status", claim: &claim, once: true}
	status, err := c.status(ctx, claim.TaskID, k)
	if err != nil {
		return false, err
	}
	for _, run := range status.Runs {
		if run.RunID == int64(claim.RunID) {
			return run.State == "running", nil
		}
	}
	return false, nil
}
