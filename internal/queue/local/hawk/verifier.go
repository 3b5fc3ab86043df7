package hawk

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// skew is how far a client's clock may be off, as in a Taskcluster deployment.
const skew = 15 * time.Minute

// Caller is who sent a request.
type Caller struct {
	// ClientID is empty for a request without credentials.
	ClientID string
	// Scopes include those that everyone has.
	Scopes []string

	hash string
}

// Verifier authenticates requests. Its methods may be called concurrently.
type Verifier struct {
	client    func(id string) (Client, bool)
	anonymous []string
	seen      *nonces
}

// NewVerifier returns a Verifier for the clients that the given function
// knows. Every caller has the anonymous scopes beside their own.
func NewVerifier(client func(id string) (Client, bool), anonymous []string) *Verifier {
	return &Verifier{client: client, anonymous: anonymous, seen: newNonces()}
}

// Authenticate tells who sent the request: by its Authorization header, by
// the bewit in its query, or nobody in particular. The error is a sentence
// for the caller; it reveals nothing secret.
func (v *Verifier) Authenticate(r *http.Request) (Caller, error) {
	header := r.Header.Get("Authorization")
	hasBewit := r.URL.Query().Has("bewit")
	switch {
	case header != "" && hasBewit:
		return Caller{}, errors.New("use either an authorization header or a bewit, not both")
	case header != "":
		return v.header(r, header)
	case hasBewit:
		return v.bewit(r)
	}
	return Caller{Scopes: v.anonymous}, nil
}

func (v *Verifier) header(r *http.Request, value string) (Caller, error) {
	a, err := parseHeader(value)
	if err != nil {
		return Caller{}, err
	}
	key, scopes, err := v.credentials(a, time.Now())
	if err != nil {
		return Caller{}, err
	}
	if err := a.verifyMAC("header", key, targetOf(r)); err != nil {
		return Caller{}, err
	}
	signed, err := a.time()
	if err != nil {
		return Caller{}, err
	}
	if off := time.Since(signed); off > skew || off < -skew {
		return Caller{}, fmt.Errorf("stale timestamp: the clocks differ by more than %v", skew)
	}
	if !v.seen.add(time.Now(), a.id, a.ts, a.nonce) {
		return Caller{}, errors.New("the request was already used: sign every request anew")
	}
	return Caller{ClientID: a.id, Scopes: v.withAnonymous(scopes), hash: a.hash}, nil
}

func (v *Verifier) bewit(r *http.Request) (Caller, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return Caller{}, errors.New("a bewit is good for GET and HEAD only")
	}
	t := targetOf(r)
	a, signed, err := parseBewit(t.resource)
	if err != nil {
		return Caller{}, err
	}
	expiry, err := a.time()
	if err != nil {
		return Caller{}, err
	}
	if time.Now().After(expiry) {
		return Caller{}, errors.New("the signed URL has expired")
	}
	key, scopes, err := v.credentials(a, time.Now())
	if err != nil {
		return Caller{}, err
	}
	t.method, t.resource = http.MethodGet, signed
	if err := a.verifyMAC("bewit", key, t); err != nil {
		return Caller{}, err
	}
	return Caller{ClientID: a.id, Scopes: v.withAnonymous(scopes)}, nil
}

// ext is what a Taskcluster client says beside its id.
type ext struct {
	Certificate      *certificate `json:"certificate"`
	AuthorizedScopes *[]string    `json:"authorizedScopes"`
}

func parseExt(text string) (ext, error) {
	var e ext
	if text == "" {
		return e, nil
	}
	// Standard and URL alphabet are both in use, with and without padding.
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return e, errors.New("ext is not base64")
	}
	if err := json.Unmarshal(decoded, &e); err != nil {
		return e, errors.New("ext is not the JSON document that a Taskcluster client sends")
	}
	return e, nil
}

// credentials returns the key and the scopes that belong to a request.
func (v *Verifier) credentials(a attributes, now time.Time) (key string, scopes []string, err error) {
	e, err := parseExt(a.ext)
	if err != nil {
		return "", nil, err
	}
	issuerID := a.id
	if e.Certificate != nil && e.Certificate.Issuer != "" {
		issuerID = e.Certificate.Issuer
		if issuerID == a.id {
			return "", nil, errors.New("ext.certificate.issuer must differ from the clientId")
		}
	}
	issuer, known := v.client(issuerID)
	if !known {
		return "", nil, fmt.Errorf("there is no client %q here", issuerID)
	}
	key, scopes = issuer.AccessToken, issuer.Scopes
	if c := e.Certificate; c != nil {
		if err := c.check(issuer, a.id, now); err != nil {
			return "", nil, err
		}
		key, scopes = temporaryToken(issuer.AccessToken, c.Seed), c.Scopes
	}
	if e.AuthorizedScopes != nil {
		if scopes, err = v.restrict(scopes, *e.AuthorizedScopes); err != nil {
			return "", nil, err
		}
	}
	return key, scopes, nil
}

// restrict returns the authorized scopes, which must be among those the
// caller has anyway.
func (v *Verifier) restrict(scopes, authorized []string) ([]string, error) {
	have := v.withAnonymous(scopes)
	for _, s := range authorized {
		if !ValidScope(s) {
			return nil, errors.New("ext.authorizedScopes must be an array of valid scopes")
		}
		if !Satisfies(have, s) {
			return nil, fmt.Errorf("the credentials do not satisfy the authorized scope %s", s)
		}
	}
	return authorized, nil
}

func (v *Verifier) withAnonymous(scopes []string) []string {
	return slices.Concat(scopes, v.anonymous)
}

// CheckPayload compares the hash that the caller signed, if any, with the
// body that arrived.
func (c Caller) CheckPayload(contentType string, body []byte) error {
	if c.hash == "" || hmac.Equal([]byte(c.hash), []byte(PayloadHash(contentType, body))) {
		return nil
	}
	return errors.New("the payload differs from the one whose hash was signed")
}
