package proxy

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// root is the parsed root URL of a deployment.
type root struct {
	scheme, host   string // host with its port, if it has one
	hostname, port string
	path           string // without a slash at its end
}

func newRoot(text string) (root, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return root{}, errors.New("cannot use the root URL: it must begin with https:// or http:// and have a host and no user name")
	}
	return root{
		scheme: u.Scheme, host: u.Host, hostname: u.Hostname(), port: portOf(u),
		path: strings.TrimRight(u.EscapedPath(), "/"),
	}, nil
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// target is where a request goes.
type target struct {
	root            // scheme and host; path is not used
	path     string // escaped, exactly as it is sent
	query    string // with its question mark
	service  string // of the root URL; "" for other hosts
	rest     string // behind the service's name
	external bool   // not the root URL's host
}

func (t target) requestURI() string { return t.path + t.query }

const forms = "write /api/<service>/<version>/<path>, /<service>/<version>/<path>, or /<host.with.dots>/<path>"

// resolve finds the target of what stands in a request's first line. Only
// whole, plain segments decide, so that no encoding leads elsewhere; what
// follows them is passed on as it is.
func (r root) resolve(requestURI string) (target, error) {
	path, query := requestURI, ""
	if i := strings.IndexByte(requestURI, '?'); i >= 0 {
		path, query = requestURI[:i], requestURI[i:]
	}
	first, rest, ok := cut(path)
	switch {
	case !ok:
		return target{}, refuse(http.StatusBadRequest, "InvalidTarget", "the request names no path of this proxy; "+forms)
	case first == "api":
		return r.call(rest, query)
	case plain(first):
		return r.call(path, query)
	case strings.Contains(first, "."):
		return r.other(first, rest, query)
	}
	return target{}, refuse(http.StatusNotFound, "ResourceNotFound", "the path begins with neither a service nor a host; "+forms)
}

// call is a request to a service of the root URL.
func (r root) call(path, query string) (target, error) {
	service, rest, ok := cut(path)
	version, call, followed := cut(rest)
	if !ok || !followed || !plain(service) || !plain(version) || call == "" {
		return target{}, refuse(http.StatusNotFound, "ResourceNotFound", "the path names no call of a service; "+forms)
	}
	t := target{root: r, path: r.path + "/api" + path, query: query, service: service, rest: rest}
	return t, t.sendable()
}

// other is a request to a host by its name.
func (r root) other(host, rest, query string) (target, error) {
	if !hostName(host) {
		return target{}, refuse(http.StatusNotFound, "ResourceNotFound",
			"the path begins with something that is no host name; write the full name of a host, without a port and not as an address")
	}
	if rest == "" {
		rest = "/"
	}
	if r.scheme == "https" && r.port == "443" && strings.EqualFold(host, r.hostname) {
		// Nothing gets around what is done for calls of services.
		if t, err := r.call(strings.TrimPrefix(rest, r.path+"/api"), query); err == nil && t.path == rest {
			return t, nil
		}
	}
	t := target{
		root: root{scheme: "https", host: host, hostname: host, port: "443"},
		path: rest, query: query, external: true,
	}
	return t, t.sendable()
}

// cut splits "/first/rest" into "first" and "/rest".
func cut(path string) (first, rest string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return "", "", false
	}
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : 1+i], path[1+i:], true
	}
	return path[1:], "", true
}

// plain tells whether a segment can mean nothing but itself.
func plain(segment string) bool {
	return segment != "" && !strings.ContainsFunc(segment, func(r rune) bool { return !letter(r) && !digit(r) && r != '-' && r != '_' })
}

func letter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func digit(r rune) bool  { return '0' <= r && r <= '9' }

// hostName tells whether a name can only be that of a host on a network: it has
// a dot, is no address in any notation, and not one that means this machine.
func hostName(name string) bool {
	labels := strings.Split(name, ".")
	last := strings.ToLower(labels[len(labels)-1])
	if len(name) > 253 || len(labels) < 2 || last == "localhost" || last == "localdomain" {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || !plain(label) || strings.Contains(label, "_") {
			return false
		}
	}
	return letter(rune(last[0])) && net.ParseIP(name) == nil
}

// url is what the target is called for an HTTP client, which sends exactly
// path and query.
func (t target) url() *url.URL {
	u := &url.URL{Scheme: t.scheme, Host: t.host}
	if t.query != "" {
		u.RawQuery, u.ForceQuery = t.query[1:], t.query == "?"
	}
	if path, err := url.PathUnescape(t.path); err == nil {
		u.Path, u.RawPath = path, t.path
	}
	if u.EscapedPath() != t.path {
		u.Path, u.RawPath, u.Opaque = "", "", t.path
	}
	return u
}

// sendable refuses the paths that an HTTP client would change.
func (t target) sendable() error {
	if t.url().RequestURI() != t.requestURI() || strings.ContainsFunc(t.requestURI(), func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return refuse(http.StatusBadRequest, "InvalidTarget", "the path has characters that must be percent-encoded; encode them")
	}
	return nil
}
