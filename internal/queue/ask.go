package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Question is a call of any service of the deployment.
type Question struct {
	Call        string   // the API method, such as "findTask"
	Service     string   // such as "index"
	Method      string   // of HTTP
	Route       []string // below /api/<service>/v1, in parts that are not escaped
	Query       url.Values
	Body        []byte             // a JSON document; nil for none
	Credentials func() Credentials // asked before every attempt; nil: Client.Credentials
}

// Ask makes a call and has its answer decoded. What decode refuses is no answer
// of that call: it is made again, like one that was not answered at all.
func (c *Client) Ask(ctx context.Context, q Question, decode func(answer []byte) error) error {
	k := &call{
		name: q.Call, method: q.Method, query: q.Query, body: q.Body, service: q.Service, signer: q.Credentials,
		decode: func(a answer) error { return decode(a.body) },
	}
	for _, part := range q.Route {
		k.route += "/" + segment(part)
	}
	return c.do(ctx, k)
}

// Expand returns scopes with all that the roles among them stand for.
func (c *Client) Expand(ctx context.Context, scopes []string) ([]string, error) {
	var all struct{ Scopes []string }
	body, err := json.Marshal(map[string][]string{"scopes": scopes})
	if err != nil {
		return nil, fmt.Errorf("cannot encode scopes: %w", err)
	}
	err = c.Ask(ctx, Question{Call: "expandScopes", Service: "auth", Method: http.MethodPost, Route: []string{"scopes", "expand"}, Body: body},
		func(answer []byte) error { return json.Unmarshal(answer, &all) })
	return all.Scopes, err
}
