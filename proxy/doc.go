// Package proxy passes a task's HTTP requests on to Taskcluster, signed with
// the credentials the task has at that moment.
//
//	/api/<service>/<version>/<rest>   to the same path of the root URL
//	/<service>/<version>/<rest>       to <root URL>/api/<service>/<version>/<rest>
//	/<host.with.dots>/<rest>          to https://<host.with.dots>/<rest>
//	/bewit                            answers the URL in the body, signed for one hour
//
// There is no other route; in particular none that shows or changes the
// credentials. A [Handler] signs with Hawk and restricts every signature to the
// scopes it was made for, so what is beyond them is refused by the service
// itself. The signature covers method, host, path and query and not the body,
// which can therefore be passed on while it arrives.
//
// Path, query, end-to-end headers, trailers and body are those of the task, but
// for these: Authorization is the signature; Forwarded and X-Forwarded-* are
// left out; a body for a Taskcluster service that comes without Content-Type is
// called application/json, which is all that these services take. Answers are
// passed back as they are, errors and redirects included, without
// Access-Control-* headers, since no page in a browser has any business here,
// and with headers X-Taskcluster-* that say what was sent where.
//
// GET, HEAD and OPTIONS without a body are tried up to four times while the
// service answers 500, 502, 503, 504, or 429 with Retry-After, or cannot be
// reached. Any other request is tried again only if no connection could be
// made, so that no byte of it has left.
//
// Who may call, and where to listen, is for the caller to decide.
package proxy
