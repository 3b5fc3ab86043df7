package hawk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const maxHeader = 64 << 10

// attributes are what a Hawk header or a bewit says.
type attributes struct {
	id, ts, nonce, hash, ext, mac, app, dlg string
}

// One attribute of the header, with the characters that Hawk allows in it.
var attribute = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("^\\s*([a-z]+)=\"([\\w !#$%&'()*+,\\-./:;<=>?@\\[\\]^`{|}~]*)\"\\s*(?:,|$)")
})

// parseHeader reads the value of an Authorization header.
func parseHeader(value string) (attributes, error) {
	var a attributes
	if len(value) > maxHeader {
		return a, errors.New("the authorization header is too long")
	}
	scheme, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "hawk") {
		return a, errors.New("the authorization header must use the scheme Hawk")
	}
	fields := map[string]*string{
		"id": &a.id, "ts": &a.ts, "nonce": &a.nonce, "hash": &a.hash,
		"ext": &a.ext, "mac": &a.mac, "app": &a.app, "dlg": &a.dlg,
	}
	for strings.TrimSpace(rest) != "" {
		m := attribute().FindStringSubmatch(rest)
		if m == nil {
			return a, errors.New("the authorization header is malformed")
		}
		field, known := fields[m[1]]
		if !known {
			return a, fmt.Errorf("the authorization header has the attribute %s, which is unknown or given twice", m[1])
		}
		*field = m[2]
		delete(fields, m[1])
		rest = rest[len(m[0]):]
	}
	if a.id == "" || a.ts == "" || a.nonce == "" || a.mac == "" {
		return a, errors.New("the authorization header lacks one of id, ts, nonce and mac")
	}
	return a, nil
}

var bewitQuery = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(/.*)([?&])bewit=([^&]*)(?:&(.+))?$`) })

// parseBewit reads a bewit, and returns the resource that it signs.
func parseBewit(resource string) (a attributes, signed string, err error) {
	m := bewitQuery().FindStringSubmatch(resource)
	if m == nil {
		return a, "", errors.New("the bewit is malformed")
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(m[3], "="))
	if err != nil {
		return a, "", errors.New("the bewit is not base64url")
	}
	parts := strings.Split(string(text), `\`)
	if len(parts) != 4 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return a, "", errors.New("the bewit must have the parts id, exp, mac and ext")
	}
	signed = m[1]
	if m[4] != "" {
		signed += m[2] + m[4]
	}
	return attributes{id: parts[0], ts: parts[1], mac: parts[2], ext: parts[3]}, signed, nil
}

// target is the part of a request that a Hawk MAC covers.
type target struct {
	method, resource, host, port string
}

func targetOf(r *http.Request) target {
	t := target{method: strings.ToUpper(r.Method), resource: r.RequestURI, host: r.Host, port: "80"}
	if !strings.HasPrefix(t.resource, "/") {
		t.resource = r.URL.RequestURI()
	}
	if r.TLS != nil {
		t.port = "443"
	}
	if host, port, err := net.SplitHostPort(r.Host); err == nil {
		t.host, t.port = host, port
	}
	// An IPv6 address is signed in its brackets by some clients only; strip
	// them as net.SplitHostPort does.
	t.host = strings.ToLower(strings.Trim(t.host, "[]"))
	return t
}

// mac computes the MAC of a request; kind is "header" or "bewit".
func (a attributes) computeMAC(kind, key string, t target) string {
	ext := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(a.ext)
	text := strings.Join([]string{
		"hawk.1." + kind, a.ts, a.nonce, t.method, t.resource, t.host, t.port, a.hash, ext, "",
	}, "\n")
	if a.app != "" {
		text += a.app + "\n" + a.dlg + "\n"
	}
	return base64.StdEncoding.EncodeToString(mac(key, text))
}

// verifyMAC accepts the host with and without the brackets of IPv6.
func (a attributes) verifyMAC(kind, key string, t target) error {
	if hmac.Equal([]byte(a.computeMAC(kind, key, t)), []byte(a.mac)) {
		return nil
	}
	if strings.Contains(t.host, ":") {
		t.host = "[" + t.host + "]"
		if hmac.Equal([]byte(a.computeMAC(kind, key, t)), []byte(a.mac)) {
			return nil
		}
	}
	return errors.New("the signature does not fit the request; the access token, host, port or path differs from what was signed")
}

func (a attributes) time() (time.Time, error) {
	seconds, err := strconv.ParseInt(a.ts, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, errors.New("the signature has no valid timestamp")
	}
	return time.Unix(seconds, 0), nil
}

// PayloadHash returns the hash by which Hawk protects a body.
func PayloadHash(contentType string, body []byte) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	h := sha256.New()
	h.Write([]byte("hawk.1.payload\n" + strings.ToLower(strings.TrimSpace(mediaType)) + "\n"))
	h.Write(body)
	h.Write([]byte("\n"))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
