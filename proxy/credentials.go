package proxy

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	hawk "github.com/tent/hawk-go"

	"github.com/taskcluster/generic-worker/internal/mask"
)

// Credentials sign requests. Certificate is empty for permanent credentials
// and a JSON document for temporary ones.
type Credentials struct {
	ClientID    string
	AccessToken mask.Secret
	Certificate mask.Secret
	// Ahead is how far the services' clock is ahead of this machine's.
	Ahead time.Duration
}

// mostShown bounds a header that is there for people; clients refuse answers
// with large headers.
const mostShown = 4 << 10

// signer is made once for each credentials, and not changed.
type signer struct {
	from Credentials
	ext  string
	// headers say how requests were signed.
	headers http.Header
}

func newSigner(c Credentials, scopes []string) (*signer, error) {
	if c.ClientID == "" || strings.ContainsFunc(c.ClientID, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return nil, fmt.Errorf("cannot sign as client %q: a client id has only printable ASCII without quotes and backslashes", c.ClientID)
	}
	ext := tcclient.ExtHeader{AuthorizedScopes: &scopes}
	shown := http.Header{}
	if c.Certificate == "" {
		shown.Set("X-Taskcluster-Proxy-Perm-ClientId", c.ClientID)
	} else {
		ext.Certificate = new(tcclient.Certificate)
		if err := json.Unmarshal([]byte(c.Certificate), ext.Certificate); err != nil {
			return nil, errors.New("cannot sign: the certificate is not a JSON document") // its text quotes the certificate
		}
		shown.Set("X-Taskcluster-Proxy-Temp-ClientId", c.ClientID)
		show(shown, "X-Taskcluster-Proxy-Temp-Scopes", ext.Certificate.Scopes)
	}
	show(shown, "X-Taskcluster-Authorized-Scopes", scopes)
	text, err := json.Marshal(ext)
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	return &signer{from: c, ext: base64.StdEncoding.EncodeToString(text), headers: shown}, nil
}

func show(h http.Header, name string, list []string) {
	if text, err := json.Marshal(list); err == nil && len(text) <= mostShown {
		h.Set(name, string(text))
	}
}

// auth is what both kinds of signature have in common.
func (s *signer) auth(method string, t target) *hawk.Auth {
	return &hawk.Auth{
		Method:      method,
		Credentials: hawk.Credentials{ID: s.from.ClientID, Key: string(s.from.AccessToken), Hash: sha256.New},
		Timestamp:   time.Now().Add(s.from.Ahead),
		RequestURI:  t.requestURI(),
		Host:        t.hostname,
		Port:        t.port,
		Ext:         s.ext,
	}
}

// header is the Authorization header of a request.
func (s *signer) header(method string, t target) string {
	auth := s.auth(method, t)
	auth.Nonce = rand.Text()
	return auth.RequestHeader()
}

// bewit is the signature of a URL.
func (s *signer) bewit(t target, lasts time.Duration) string {
	auth := s.auth(http.MethodGet, t)
	auth.Timestamp = auth.Timestamp.Add(lasts)
	return auth.Bewit()
}
