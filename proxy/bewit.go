package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	bewitLasts   = time.Hour
	mostBewitURL = 16 << 10
)

// isBewit tells whether a request is for the route that signs URLs.
func isBewit(requestURI string) bool {
	path, _, _ := strings.Cut(requestURI, "?")
	first, _, _ := cut(path)
	return first == "bewit"
}

// bewit answers the URL in the body, signed for one hour.
func (h *Handler) bewit(w http.ResponseWriter, r *http.Request, s *signer) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBewitURL))
	if err != nil {
		status, message := http.StatusBadRequest, "the URL to sign did not arrive whole; send it as the body"
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status, message = http.StatusRequestEntityTooLarge, "the URL to sign has more than "+strconv.Itoa(mostBewitURL)+" bytes"
		}
		Refuse(w, status, "InputError", message)
		return
	}
	t, err := h.root.parse(strings.TrimSpace(string(text)))
	if err != nil {
		explain(w, r, t, err)
		return
	}
	join := "?"
	if t.query != "" {
		join = "&"
	}
	signed := t.scheme + "://" + t.host + t.requestURI() + join + "bewit=" + s.bewit(t, bewitLasts)
	w.Header().Set("Location", signed)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusSeeOther)
	_, _ = io.WriteString(w, signed) // a client that is gone needs no answer
}

// parse reads a URL to sign: one below the root URL, or of a host by its name.
func (r root) parse(text string) (target, error) {
	refused := refuse(http.StatusBadRequest, "InputError",
		"the body must be the URL to sign and nothing else: one of "+r.scheme+"://"+r.host+", or one with https:// and the full name of a host")
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" || strings.Contains(text, "#") || u.Opaque != "" {
		return target{}, refused
	}
	_, after, _ := strings.Cut(text, "://")
	uri := "/"
	if i := strings.IndexAny(after, "/?"); i >= 0 {
		uri = "/" + strings.TrimPrefix(after[i:], "/")
	}
	path, query := uri, ""
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		path, query = uri[:i], uri[i:]
	}
	t := target{path: path, query: query}
	switch {
	case u.Scheme == r.scheme && strings.EqualFold(u.Host, r.host):
		t.root = r
	case u.Scheme == "https" && u.Port() == "" && hostName(u.Host):
		t.root = root{scheme: "https", host: u.Host, hostname: u.Host, port: "443"}
	default:
		return target{}, refused
	}
	return t, t.sendable()
}
