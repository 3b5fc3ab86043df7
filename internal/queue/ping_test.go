package queue

import (
	"context"
	"net/http"
)

// Ping is the simplest call there is, for tests of what all calls have in common.
func (c *Client) Ping(ctx context.Context) error {
	return c.do(ctx, &call{name: "ping", method: http.MethodGet, route: "/ping", decode: isObject})
}
